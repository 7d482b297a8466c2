/* Clients, and connections between a client and a server over a pair of BIOs. */
#include "runner.h"

#define MAX_CLIENTS 16
#define MAX_KNOWN 2048
#define MAX_STEPS 50

static struct client clients[MAX_CLIENTS];
static int made;

/* Every session that a client received, by its name. */
static struct { char name[16]; SSL_SESSION *session; } known[MAX_KNOWN];
static int learned;

struct connection {
	struct client *client;
	SSL *near, *far; /* the client's side and the server's */
	BIO *near_bio, *far_bio;
	SSL_SESSION *received;
	char alert[128]; /* the first fatal alert */
	struct connection *outer;
};
static struct connection *current;

static const char *name_offered(SSL_SESSION *s)
{
	const unsigned char *ticket = NULL;
	size_t len = 0;
	if (s == NULL)
		return "-";
	if (SSL_SESSION_has_ticket(s))
		SSL_SESSION_get0_ticket(s, &ticket, &len);
	return len > 0 ? name_of(ticket, len) : name_of_session(s);
}

static int on_client_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(current->received);
	current->received = s;
	return 1;
}

static void on_info(const SSL *ssl, int where, int alert)
{
	if ((where & SSL_CB_WRITE_ALERT) != SSL_CB_WRITE_ALERT || alert >> 8 != SSL3_AL_FATAL || current->alert[0] != 0)
		return;
	snprintf(current->alert, sizeof current->alert, "%s sends %s", SSL_is_server(ssl) ? "server" : "client",
		 SSL_alert_desc_string_long(alert));
}

static struct client *client_named(const char *name)
{
	for (int i = 0; i < made; i++)
		if (strcmp(clients[i].name, name) == 0)
			return &clients[i];
	if (made == MAX_CLIENTS)
		die("too many clients");
	struct client *c = &clients[made++];
	snprintf(c->name, sizeof c->name, "%s", name);
	snprintf(c->server_name, sizeof c->server_name, "a.example");
	snprintf(c->version, sizeof c->version, "%s", strcmp(protocol, "tls1.3") == 0 ? "1.3" : "1.2");
	c->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, on_client_session);
	return c;
}

static void set_version(struct client *c)
{
	SSL_CTX_set_min_proto_version(c->ctx, strcmp(c->version, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(c->ctx, strcmp(c->version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
}

static void use_certificate(SSL_CTX *ctx)
{
	char pem[4096], key[4096];
	snprintf(pem, sizeof pem, "%s/alice.pem", certificates);
	snprintf(key, sizeof key, "%s/alice.key", certificates);
	if (SSL_CTX_use_certificate_chain_file(ctx, pem) != 1 || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die("no certificate for the client");
}

static void set_protocols(SSL_CTX *ctx, const char *name)
{
	unsigned char list[MAX_WORD];
	list[0] = (unsigned char)strlen(name);
	memcpy(list + 1, name, list[0]);
	SSL_CTX_set_alpn_protos(ctx, list, list[0] + 1u);
}

/* do_client changes what a client offers from now on. */
void do_client(char **words, int n)
{
	char list[256];
	const char *v;
	struct client *c = client_named(words[1]);
	if ((v = option(words, n, "version")) != NULL)
		snprintf(c->version, sizeof c->version, "%s", v);
	if ((v = option(words, n, "name")) != NULL)
		snprintf(c->server_name, sizeof c->server_name, "%s", v);
	if ((v = option(words, n, "suites")) != NULL)
		SSL_CTX_set_cipher_list(c->ctx, suite_list(v, 0, list));
	if (option(words, n, "certificate") != NULL)
		use_certificate(c->ctx);
	if ((v = option(words, n, "groups")) != NULL)
		SSL_CTX_set1_groups_list(c->ctx, v);
	if ((v = option(words, n, "alpn")) != NULL)
		set_protocols(c->ctx, v);
	if ((v = option(words, n, "ems")) != NULL) {
		if (strcmp(v, "no") == 0)
			SSL_CTX_set_options(c->ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
		else
			SSL_CTX_clear_options(c->ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	}
}

static SSL_SESSION *known_session(const char *name)
{
	for (int i = learned - 1; i >= 0; i--)
		if (strcmp(known[i].name, name) == 0)
			return known[i].session;
	die("no client has received the session %s", name);
	return NULL;
}

static void learn(SSL_SESSION *s)
{
	if (learned == MAX_KNOWN)
		die("too many sessions");
	snprintf(known[learned].name, sizeof known[learned].name, "%s", name_offered(s));
	SSL_SESSION_up_ref(s);
	known[learned++].session = s;
}

/* do_forge gives a client a session with another secret or suite than the server's. */
void do_forge(char **words, int n)
{
	const char *how = option(words, n, "secret"), *suite = option(words, n, "suite");
	struct client *c = client_named(words[1]);
	SSL_SESSION *s = SSL_SESSION_dup(known_session(words[2]));
	if (s == NULL)
		die("SSL_SESSION_dup failed");
	if (how != NULL)
		spoil(s, how);
	if (suite != NULL) {
		static const unsigned char ids[][2] = {{0xc0, 0x2b}, {0xc0, 0x2c}, {0xcc, 0xa9}};
		int i = strcmp(suite, "aes128") == 0 ? 0 : strcmp(suite, "aes256") == 0 ? 1 : 2;
		SSL *ssl = SSL_new(c->ctx);
		SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, ids[i]));
		SSL_free(ssl);
	}
	SSL_SESSION_free(c->session);
	c->session = s;
}

/* stubborn returns a copy that the client does not find too old to offer. */
static SSL_SESSION *stubborn(SSL_SESSION *s)
{
	SSL_SESSION *fresh = SSL_SESSION_dup(s);
	if (fresh == NULL)
		die("SSL_SESSION_dup failed");
	SSL_SESSION_set_time(fresh, clock_now());
	return fresh;
}

static void begin(struct connection *c, struct client *client, SSL_SESSION *offered)
{
	memset(c, 0, sizeof *c);
	c->client = client;
	c->outer = current;
	current = c;
	set_version(client);
	SSL_CTX_set_info_callback(client->ctx, on_info);
	SSL_CTX_set_info_callback(cache->ctx, on_info);
	c->near = SSL_new(client->ctx);
	c->far = SSL_new(cache->ctx);
	if (c->near == NULL || c->far == NULL || BIO_new_bio_pair(&c->near_bio, 1 << 17, &c->far_bio, 1 << 17) != 1)
		die("no connection");
	SSL_set_app_data(c->far, (void *)cache);
	SSL_set_bio(c->near, c->near_bio, c->near_bio);
	SSL_set_bio(c->far, c->far_bio, c->far_bio);
	SSL_set_connect_state(c->near);
	SSL_set_accept_state(c->far);
	if (strcmp(client->server_name, "none") != 0)
		SSL_set_tlsext_host_name(c->near, client->server_name);
	if (offered != NULL) {
		SSL_SESSION *s = stubborn(offered);
		SSL_set_session(c->near, s);
		SSL_SESSION_free(s);
	}
}

/* step returns 1 when the handshake of one side is complete and -1 when it has failed. */
static int step(SSL *ssl)
{
	int r = SSL_do_handshake(ssl);
	if (r == 1)
		return 1;
	int why = SSL_get_error(ssl, r);
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/* handshake returns whether both sides completed it and exchanged a byte each. */
static int handshake(struct connection *c)
{
	char byte = 'x';
	for (int i = 0; i < MAX_STEPS; i++) {
		int near = step(c->near);
		current = c;
		int far = step(c->far);
		current = c;
		if (near < 0 || far < 0) {
			step(near < 0 ? c->far : c->near); /* reads the alert */
			return 0;
		}
		if (near > 0 && far > 0)
			return SSL_write(c->near, &byte, 1) == 1 && SSL_read(c->far, &byte, 1) == 1 &&
			       SSL_write(c->far, &byte, 1) == 1 && SSL_read(c->near, &byte, 1) == 1;
	}
	return 0;
}

static void report(struct connection *c, SSL_SESSION *adopted)
{
	const unsigned char *alpn;
	unsigned int len;
	int reused = SSL_session_reused(c->far);
	SSL_get0_alpn_selected(c->far, &alpn, &len);
	say("%s %s%s%.*s%s", reused ? "resumed" : "full", name_offered(adopted), len > 0 ? " alpn=" : "", (int)len,
	    (const char *)alpn, SSL_get0_peer_certificate(c->far) != NULL ? " with certificate" : "");
	*(reused ? &tally.resumed : &tally.full) += 1;
}

/* garbage injects a record that does not decrypt: the reader sends a fatal alert. */
static void garbage(BIO *into, SSL *reader, SSL *other)
{
	static const char record[] = "\x17\x03\x03\x00\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	char byte;
	BIO_write(into, record, sizeof record - 1);
	SSL_read(reader, &byte, 1);
	SSL_read(other, &byte, 1);
}

static void finish(struct connection *c, const char *how)
{
	char byte;
	if (strcmp(how, "clean") == 0 || strcmp(how, "client") == 0)
		SSL_shutdown(c->near);
	if (strcmp(how, "abrupt") == 0)
		BIO_shutdown_wr(c->near_bio);
	if (strcmp(how, "alert-client") == 0)
		garbage(c->far_bio, c->near, c->far);
	else if (strcmp(how, "alert-server") == 0)
		garbage(c->near_bio, c->far, c->near);
	else if (strcmp(how, "server") != 0)
		SSL_read(c->far, &byte, 1);
	if (strcmp(how, "clean") == 0 || strcmp(how, "server") == 0)
		SSL_shutdown(c->far);
}

static SSL_SESSION *adopted_by(struct connection *c)
{
	if (c->received != NULL)
		return c->received;
	return SSL_session_reused(c->near) ? SSL_get0_session(c->near) : NULL;
}

/* adopt keeps a copy, because a bad close would mark the client's own object. */
static void adopt(struct connection *c, int keep)
{
	SSL_SESSION *s = adopted_by(c);
	if (s != NULL && (s = SSL_SESSION_dup(s)) == NULL)
		die("SSL_SESSION_dup failed");
	if (s != NULL)
		learn(s);
	if (!keep) {
		SSL_SESSION_free(c->client->session);
		c->client->session = s;
	} else {
		SSL_SESSION_free(s);
	}
	SSL_SESSION *ours = SSL_get0_session(c->far);
	if (ours != NULL)
		hold(ours);
}

static void connect_once(char **words, int n)
{
	struct connection c;
	struct client *client = client_named(words[1]);
	const char *offer = option(words, n, "offer"), *close = option(words, n, "close");
	SSL_SESSION *offered = client->session;
	if (offer != NULL)
		offered = strcmp(offer, "none") == 0 ? NULL : known_session(offer);
	begin(&c, client, offered);
	if (handshake(&c)) {
		report(&c, adopted_by(&c));
		adopt(&c, has_word(words, n, "keep"));
		finish(&c, close != NULL ? close : "clean");
	} else {
		tally.failed++;
		say("failed: %s", c.alert[0] != 0 ? c.alert : "no alert");
	}
	SSL_free(c.far);
	SSL_free(c.near);
	SSL_SESSION_free(c.received);
	current = c.outer;
}

/* do_connect makes one connection, or as many as times= says and prints only totals. */
void do_connect(char **words, int n)
{
	const char *times = option(words, n, "times");
	if (times == NULL) {
		connect_once(words, n);
		return;
	}
	memset(&tally, 0, sizeof tally);
	quiet = 1;
	for (int i = 0; i < atoi(times); i++)
		connect_once(words, n);
	quiet = 0;
	say("full=%d resumed=%d failed=%d new=%d get=%d remove=%d", tally.full, tally.resumed, tally.failed,
	    tally.calls_new, tally.calls_get, tally.calls_remove);
}
