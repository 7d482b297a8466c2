/* The functions that an application calls on a context. */
#include "runner.h"

static const struct { const char *name; long bits; } modes[] = {
	{"both", SSL_SESS_CACHE_BOTH}, {"client", SSL_SESS_CACHE_CLIENT}, {"server", SSL_SESS_CACHE_SERVER},
	{"no-auto-clear", SSL_SESS_CACHE_NO_AUTO_CLEAR}, {"no-internal", SSL_SESS_CACHE_NO_INTERNAL},
	{"no-internal-lookup", SSL_SESS_CACHE_NO_INTERNAL_LOOKUP}, {"no-internal-store", SSL_SESS_CACHE_NO_INTERNAL_STORE},
	{"update-time", SSL_SESS_CACHE_UPDATE_TIME},
};
#define MODES (sizeof modes / sizeof modes[0])

static long mode_bits(char *list)
{
	long bits = 0;
	for (char *word = strtok(list, ","); word != NULL; word = strtok(NULL, ","))
		for (size_t i = 0; i < MODES; i++)
			if (strcmp(modes[i].name, word) == 0)
				bits |= modes[i].bits;
	return bits;
}

static const char *mode_name(long bits)
{
	static char out[256];
	out[0] = 0;
	for (size_t i = 0; i < MODES; i++)
		if ((bits & modes[i].bits) == modes[i].bits) {
			strcat(out, out[0] != 0 ? "," : "");
			strcat(out, modes[i].name);
			bits &= ~modes[i].bits;
		}
	return out[0] != 0 ? out : "off";
}

static void do_mode(char **words, int n)
{
	if (n == 1)
		say("%s", mode_name(SSL_CTX_get_session_cache_mode(cache->ctx)));
	else
		say("was %s", mode_name(SSL_CTX_set_session_cache_mode(cache->ctx, mode_bits(words[1]))));
}

static void do_size(char **words, int n)
{
	if (n == 1)
		say("%ld", SSL_CTX_sess_get_cache_size(cache->ctx));
	else
		say("was %ld", SSL_CTX_sess_set_cache_size(cache->ctx, atol(words[1])));
}

static void do_timeout(char **words, int n)
{
	if (n == 1)
		say("%ld", SSL_CTX_get_timeout(cache->ctx));
	else
		say("was %ld", SSL_CTX_set_timeout(cache->ctx, atol(words[1])));
}

static void do_flush(char **words, int n)
{
	long at = clock_now();
	if (n > 1)
		at = strcmp(words[1], "all") == 0 ? 0 : at + atol(words[1]);
	SSL_CTX_flush_sessions(cache->ctx, at);
}

static void do_counters(void)
{
	SSL_CTX *ctx = cache->ctx;
	say("number=%ld accept=%ld accept_good=%ld hits=%ld cb_hits=%ld misses=%ld timeouts=%ld cache_full=%ld",
	    SSL_CTX_sess_number(ctx), SSL_CTX_sess_accept(ctx), SSL_CTX_sess_accept_good(ctx), SSL_CTX_sess_hits(ctx),
	    SSL_CTX_sess_cb_hits(ctx), SSL_CTX_sess_misses(ctx), SSL_CTX_sess_timeouts(ctx), SSL_CTX_sess_cache_full(ctx));
}

struct search {
	const char *name;
	SSL_SESSION *found;
	int count, numbers[64];
};

static void visit(void *item, void *arg)
{
	struct search *search = arg;
	const char *name = name_of_session(item);
	if (strcmp(name, search->name) == 0)
		search->found = item;
	if (name[0] == 's' && search->count < 64)
		search->numbers[search->count++] = atoi(name + 1);
}

static struct search look(const char *name)
{
	struct search search = {.name = name};
	OPENSSL_LH_doall_arg((OPENSSL_LHASH *)SSL_CTX_sessions(cache->ctx), visit, &search);
	return search;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void do_list(void)
{
	char out[MAX_LINE] = "cached";
	struct search all = look("");
	qsort(all.numbers, (size_t)all.count, sizeof all.numbers[0], ascending);
	for (int i = 0; i < all.count; i++)
		snprintf(out + strlen(out), sizeof out - strlen(out), " s%d", all.numbers[i]);
	say("%s", all.count > 0 ? out : "cached nothing");
}

/* do_session prints the times of a cached session. */
static void do_session(const char *name)
{
	SSL_SESSION *s = look(name).found;
	if (s == NULL)
		say("not cached");
	else
		say("created %+ld, expires %+ld", clock_offset(SSL_SESSION_get_time(s)),
		    clock_offset(SSL_SESSION_get_time(s) + SSL_SESSION_get_timeout(s)));
}

static void do_data(char **words, int n)
{
	void *data = NULL;
	size_t len = 0;
	SSL_SESSION *s = session_argument(words + 1, n - 1);
	SSL_SESSION_get0_ticket_appdata(s, &data, &len);
	say("data %.*s", (int)len, len > 0 ? (const char *)data : "");
	SSL_SESSION_free(s);
}

static void do_add(char **words, int n)
{
	SSL_SESSION *s = session_argument(words + 1, n - 1);
	say("returns %d", SSL_CTX_add_session(cache->ctx, s));
	SSL_SESSION_free(s);
}

static void do_remove(char **words, int n)
{
	SSL_SESSION *s = session_argument(words + 1, n - 1);
	say("returns %d", SSL_CTX_remove_session(cache->ctx, s));
	SSL_SESSION_free(s);
}

static void do_scope(const char *scope)
{
	unsigned int len = strcmp(scope, "none") == 0 ? 0 : (unsigned int)strlen(scope);
	SSL_CTX_set_session_id_context(cache->ctx, (const unsigned char *)scope, len);
}

/* do_api returns 0 if it does not know the command. */
int do_api(char **words, int n)
{
	const char *verb = words[0];
	if (strcmp(verb, "add") == 0)
		do_add(words, n);
	else if (strcmp(verb, "remove") == 0)
		do_remove(words, n);
	else if (strcmp(verb, "flush") == 0)
		do_flush(words, n);
	else if (strcmp(verb, "mode") == 0)
		do_mode(words, n);
	else if (strcmp(verb, "size") == 0)
		do_size(words, n);
	else if (strcmp(verb, "timeout") == 0)
		do_timeout(words, n);
	else if (strcmp(verb, "counters") == 0)
		do_counters();
	else if (strcmp(verb, "list") == 0)
		do_list();
	else if (strcmp(verb, "session") == 0)
		do_session(words[1]);
	else if (strcmp(verb, "data") == 0)
		do_data(words, n);
	else if (strcmp(verb, "annotate") == 0)
		snprintf(cache->annotation, sizeof cache->annotation, "%s", words[1]);
	else if (strcmp(verb, "scope") == 0)
		do_scope(words[1]);
	else if (strcmp(verb, "advance") == 0)
		clock_advance(atol(words[1]));
	else if (strcmp(verb, "free") == 0)
		SSL_CTX_free(cache->ctx);
	else
		return strcmp(verb, "await") == 0; /* libssl does nothing in the background */
	return 1;
}
