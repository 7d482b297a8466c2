/* Runs one scenario against libssl through its public API. */
#ifndef RUNNER_H
#define RUNNER_H

#include <openssl/ssl.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 24
#define MAX_WORD 64
#define MAX_LINE 512
#define MAX_COMMANDS 400

/* An action says what a callback does, and a command that it runs once. */
struct action {
	char what[MAX_WORD], which[MAX_WORD], then[MAX_LINE];
};

struct cache {
	char name[MAX_WORD];
	SSL_CTX *ctx;
	struct action on_new, on_get, on_remove, on_hello;
	char switch_name[MAX_WORD];
	struct cache *switch_to;
	unsigned char alpn[MAX_WORD];
	unsigned int alpn_len;
	char ids[MAX_WORD], annotation[MAX_WORD];
	int id_len;
};

struct client {
	char name[MAX_WORD], server_name[MAX_WORD], version[MAX_WORD];
	SSL_CTX *ctx;
	SSL_SESSION *session; /* what it offers next */
};

/* Counts of events while they are not printed. */
struct tally {
	int full, resumed, failed, calls_new, calls_get, calls_remove;
};

extern struct cache *cache;
extern const char *protocol, *certificates;
extern int quiet;
extern struct tally tally;

/* clock.c */
void clock_start(long now);
void clock_advance(long seconds);
long clock_now(void);
long clock_offset(long t);
void clock_probe(void);

/* names.c */
const char *name_of(const unsigned char *id, size_t len);
const char *name_of_session(const SSL_SESSION *s);
const char *name_if_known(const unsigned char *id, size_t len);
void hold(SSL_SESSION *s);
SSL_SESSION *held(const char *name);
SSL_SESSION *copy_of(SSL_SESSION *s);
SSL_SESSION *session_argument(char **words, int n);

/* store.c */
void store_put(SSL_SESSION *s);
void store_delete(const SSL_SESSION *s);
SSL_SESSION *store_get(const unsigned char *id, size_t len);
void do_store(char **words, int n);
void spoil(SSL_SESSION *s, const char *how);

/* cache.c */
struct cache *cache_named(const char *name);
struct cache *cache_of(const SSL *ssl);
struct cache *cache_of_ctx(const SSL_CTX *ctx);
void do_cache(char **words, int n);
void do_server(char **words, int n);
void do_servername(char **words);
const char *suite_list(const char *words, int tls13, char *out);

/* callbacks.c */
void do_on(char **words, int n, const char *line);
void do_callbacks(void);
void do_ids(char **words, int n);
int on_servername(SSL *ssl, int *alert, void *arg);

/* api.c */
int do_api(char **words, int n);

/* connect.c */
void do_client(char **words, int n);
void do_connect(char **words, int n);
void do_forge(char **words, int n);

/* main.c */
void die(const char *format, ...);
void say(const char *format, ...);
void run(const char *line);
void run_then(struct action *a);
const char *option(char **words, int n, const char *key);
int has_word(char **words, int n, const char *word);

#endif
