/* The callbacks of a server's application. */
#include "runner.h"
#include <openssl/rand.h>

static int count(const struct cache *c) { return (int)SSL_CTX_sess_number(c->ctx); }

/* annotate attaches the application's data to a session that has none. */
static void annotate(SSL_SESSION *s, const char *text)
{
	void *data = NULL;
	size_t len = 0;
	SSL_SESSION_get0_ticket_appdata(s, &data, &len);
	if (len == 0 && text[0] != 0 && !SSL_SESSION_set1_ticket_appdata(s, text, strlen(text)))
		die("SSL_SESSION_set1_ticket_appdata failed");
}

static int on_new(SSL *ssl, SSL_SESSION *s)
{
	struct cache *c = cache_of(ssl);
	hold(s);
	tally.calls_new++;
	annotate(s, c->annotation);
	say("new %s number=%d", name_of_session(s), count(c));
	if (strstr(c->on_new.what, "store") != NULL)
		store_put(s);
	int keep = strstr(c->on_new.what, "decline") == NULL;
	run_then(&c->on_new);
	if (keep)
		SSL_SESSION_free(s); /* the reference that a result of 1 takes over */
	return keep;
}

static SSL_SESSION *answer(const struct action *a, const unsigned char *id, int len)
{
	if (strcmp(a->what, "none") == 0)
		return NULL;
	if (strcmp(a->what, "store") == 0)
		return store_get(id, (size_t)len);
	if (strcmp(a->what, "copy") == 0)
		return copy_of(held(a->which));
	SSL_SESSION *s = held(a->which);
	SSL_SESSION_up_ref(s);
	return s;
}

static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int len, int *copy)
{
	struct cache *c = cache_of(ssl);
	const char *asked = name_if_known(id, (size_t)len);
	SSL_SESSION *s = answer(&c->on_get, id, len);
	*copy = 0;
	tally.calls_get++;
	say("get %s returns %s number=%d", asked, s != NULL ? name_of_session(s) : "none", count(c));
	run_then(&c->on_get);
	return s;
}

static void on_remove(SSL_CTX *ctx, SSL_SESSION *s)
{
	struct cache *c = cache_of_ctx(ctx);
	tally.calls_remove++;
	say("remove %s number=%d", name_of_session(s), count(c));
	if (strcmp(c->on_remove.what, "delete") == 0)
		store_delete(s);
	run_then(&c->on_remove);
}

int on_servername(SSL *ssl, int *alert, void *arg)
{
	struct cache *c = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	(void)alert;
	if (c->on_hello.what[0] != 0) {
		say("hello %s", name != NULL ? name : "-");
		run_then(&c->on_hello);
	}
	if (c->switch_to != NULL && name != NULL && strcmp(name, c->switch_name) == 0)
		SSL_set_SSL_CTX(ssl, c->switch_to->ctx);
	return SSL_TLSEXT_ERR_OK;
}

static void set(struct action *a, char **words, int n, const char *line)
{
	const char *then = strstr(line, " then ");
	memset(a, 0, sizeof *a);
	if (strcmp(words[2], "unset") == 0)
		return;
	snprintf(a->what, sizeof a->what, "%s", words[2]);
	if (n > 3)
		snprintf(a->which, sizeof a->which, "%s", words[3]);
	if (then != NULL)
		snprintf(a->then, sizeof a->then, "%s", then + strlen(" then "));
}

/* do_on sets or unsets a callback at once, as a running program does. */
void do_on(char **words, int n, const char *line)
{
	int unset = strcmp(words[2], "unset") == 0;
	if (strcmp(words[1], "new") == 0) {
		set(&cache->on_new, words, n, line);
		SSL_CTX_sess_set_new_cb(cache->ctx, unset ? NULL : on_new);
	} else if (strcmp(words[1], "get") == 0) {
		set(&cache->on_get, words, n, line);
		SSL_CTX_sess_set_get_cb(cache->ctx, unset ? NULL : on_get);
	} else if (strcmp(words[1], "remove") == 0) {
		set(&cache->on_remove, words, n, line);
		SSL_CTX_sess_set_remove_cb(cache->ctx, unset ? NULL : on_remove);
	} else {
		set(&cache->on_hello, words, n, line);
	}
}

static const char *is_set(int set) { return set ? "set" : "unset"; }

void do_callbacks(void)
{
	SSL_CTX *ctx = cache->ctx;
	say("new %s, get %s, remove %s", is_set(SSL_CTX_sess_get_new_cb(ctx) != NULL),
	    is_set(SSL_CTX_sess_get_get_cb(ctx) != NULL), is_set(SSL_CTX_sess_get_remove_cb(ctx) != NULL));
}

static int make_id(SSL *ssl, unsigned char *id, unsigned int *len)
{
	struct cache *c = cache_of(ssl);
	if (strcmp(c->ids, "fail") == 0)
		return 0;
	if (strcmp(c->ids, "constant") == 0) {
		memset(id, 7, *len);
		return 1;
	}
	*len = (unsigned int)c->id_len;
	return c->id_len > SSL_MAX_SSL_SESSION_ID_LENGTH || RAND_bytes(id, c->id_len) == 1;
}

void do_ids(char **words, int n)
{
	snprintf(cache->ids, sizeof cache->ids, "%s", words[1]);
	cache->id_len = n > 2 ? atoi(words[2]) : 0;
	SSL_CTX_set_generate_session_id(cache->ctx, strcmp(words[1], "default") == 0 ? NULL : make_id);
}
