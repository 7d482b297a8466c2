/* Server contexts and their configuration. */
#include "runner.h"

#define MAX_CACHES 8

static struct cache caches[MAX_CACHES];
static int made;

struct cache *cache_named(const char *name)
{
	for (int i = 0; i < made; i++)
		if (strcmp(caches[i].name, name) == 0)
			return &caches[i];
	die("there is no cache %s", name);
	return NULL;
}

struct cache *cache_of_ctx(const SSL_CTX *ctx)
{
	for (int i = 0; i < made; i++)
		if (caches[i].ctx == ctx)
			return &caches[i];
	die("a callback for a context that is not ours");
	return NULL;
}

/* cache_of returns the cache that a connection was made with, whatever SNI chose since. */
struct cache *cache_of(const SSL *ssl) { return SSL_get_app_data(ssl); }

/* suite_list translates aes128, aes256 and chacha, separated by commas. */
const char *suite_list(const char *words, int tls13, char *out)
{
	static const char *names[][3] = {
		{"aes128", "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"},
		{"aes256", "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_AES_256_GCM_SHA384"},
		{"chacha", "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_CHACHA20_POLY1305_SHA256"},
	};
	out[0] = 0;
	for (int i = 0; i < 3; i++)
		if (strstr(words, names[i][0]) != NULL) {
			strcat(out, out[0] != 0 ? ":" : "");
			strcat(out, names[i][1 + tls13]);
		}
	return out;
}

static const char *file(const char *name)
{
	static char path[4096];
	snprintf(path, sizeof path, "%s/%s", certificates, name);
	return path;
}

static void load(SSL_CTX *ctx)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, file("server.pem")) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, file("server.key"), SSL_FILETYPE_PEM) != 1)
		die("no certificate for the server");
}

static void trust(SSL_CTX *ctx, const char *whom)
{
	X509_STORE *store = X509_STORE_new();
	const char *ca = strcmp(whom, "others") == 0 ? "others.pem" : "clients.pem";
	if (store == NULL || X509_STORE_load_locations(store, file(ca), NULL) != 1)
		die("no certificates to trust");
	SSL_CTX_set_cert_store(ctx, store);
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
		       const unsigned char *in, unsigned int inlen, void *arg)
{
	struct cache *c = arg;
	(void)ssl;
	if (SSL_select_next_proto((unsigned char **)out, len, c->alpn, c->alpn_len, in, inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

static void create(const char *name)
{
	struct cache *c = &caches[made];
	if (made++ == MAX_CACHES)
		die("too many caches");
	snprintf(c->name, sizeof c->name, "%s", name);
	c->ctx = SSL_CTX_new(TLS_server_method());
	if (c->ctx == NULL)
		die("SSL_CTX_new failed");
	load(c->ctx);
	trust(c->ctx, "clients");
	/* As in crypto/tls and in a Cache. "server tickets=2" and "timeout 0" are libssl's defaults. */
	SSL_CTX_set_num_tickets(c->ctx, 1);
	SSL_CTX_set_timeout(c->ctx, 300);
	if (strcmp(protocol, "tls1.2-ticket") != 0)
		SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_tlsext_servername_callback(c->ctx, on_servername);
	SSL_CTX_set_tlsext_servername_arg(c->ctx, c);
	SSL_CTX_set_alpn_select_cb(c->ctx, choose_alpn, c);
	cache = c;
}

/* do_cache makes a cache or, as "use", returns to one. */
void do_cache(char **words, int n)
{
	const char *scope = option(words, n, "scope");
	if (strcmp(words[0], "use") == 0) {
		cache = cache_named(words[1]);
		return;
	}
	create(words[1]);
	if (scope != NULL)
		SSL_CTX_set_session_id_context(cache->ctx, (const unsigned char *)scope, (unsigned int)strlen(scope));
}

static void set_verify(SSL_CTX *ctx, const char *how)
{
	int mode = SSL_VERIFY_NONE;
	if (strcmp(how, "request") == 0)
		mode = SSL_VERIFY_PEER;
	else if (strcmp(how, "require") == 0)
		mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, mode, NULL);
}

static void set_alpn(struct cache *c, const char *protocols)
{
	c->alpn_len = 0;
	for (size_t len; *protocols != 0; protocols += len + (protocols[len] == ',')) {
		len = strcspn(protocols, ",");
		c->alpn[c->alpn_len++] = (unsigned char)len;
		memcpy(c->alpn + c->alpn_len, protocols, len);
		c->alpn_len += (unsigned int)len;
	}
}

/* do_server changes the configuration of the current cache for later connections. */
void do_server(char **words, int n)
{
	char list[256];
	SSL_CTX *ctx = cache->ctx;
	const char *v;
	if ((v = option(words, n, "verify")) != NULL)
		set_verify(ctx, v);
	if ((v = option(words, n, "trust")) != NULL)
		trust(ctx, v);
	if ((v = option(words, n, "suites")) != NULL)
		SSL_CTX_set_cipher_list(ctx, suite_list(v, 0, list));
	if ((v = option(words, n, "max")) != NULL)
		SSL_CTX_set_max_proto_version(ctx, strcmp(v, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
	if ((v = option(words, n, "groups")) != NULL)
		SSL_CTX_set1_groups_list(ctx, v);
	if ((v = option(words, n, "tickets")) != NULL)
		SSL_CTX_set_num_tickets(ctx, (size_t)atoi(v));
	if ((v = option(words, n, "early-data")) != NULL)
		SSL_CTX_set_max_early_data(ctx, (uint32_t)atoi(v));
	if ((v = option(words, n, "alpn")) != NULL)
		set_alpn(cache, v);
}

/* do_servername has the current cache's clients of a name served by another context. */
void do_servername(char **words)
{
	snprintf(cache->switch_name, sizeof cache->switch_name, "%s", words[1]);
	cache->switch_to = cache_named(words[2]);
}
