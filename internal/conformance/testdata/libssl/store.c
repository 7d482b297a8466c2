/* The external cache: encoded sessions by id, shared by all contexts. */
#include "runner.h"

#define MAX_ENTRIES 1024
#define MAX_SECRET 64

static SSL_SESSION *entries[MAX_ENTRIES]; /* decoded copies, copied again when read */

static int same_id(const SSL_SESSION *s, const unsigned char *id, size_t len)
{
	unsigned int have;
	const unsigned char *p = SSL_SESSION_get_id(s, &have);
	return have == len && memcmp(p, id, len) == 0;
}

static SSL_SESSION **slot(const unsigned char *id, size_t len)
{
	for (int i = 0; i < MAX_ENTRIES; i++)
		if (entries[i] != NULL && same_id(entries[i], id, len))
			return &entries[i];
	return NULL;
}

static SSL_SESSION **slot_of(const SSL_SESSION *s)
{
	unsigned int len;
	const unsigned char *id = SSL_SESSION_get_id(s, &len);
	return slot(id, len);
}

void store_put(SSL_SESSION *s)
{
	store_delete(s);
	for (int i = 0; i < MAX_ENTRIES; i++)
		if (entries[i] == NULL) {
			entries[i] = copy_of(s);
			return;
		}
	die("the store is full");
}

void store_delete(const SSL_SESSION *s)
{
	SSL_SESSION **e = slot_of(s);
	if (e != NULL) {
		SSL_SESSION_free(*e);
		*e = NULL;
	}
}

SSL_SESSION *store_get(const unsigned char *id, size_t len)
{
	SSL_SESSION **e = slot(id, len);
	return e != NULL ? copy_of(*e) : NULL;
}

/* spoil changes the secret of a session: to a "wrong" one, or to "zero" bytes. */
void spoil(SSL_SESSION *s, const char *how)
{
	unsigned char secret[MAX_SECRET];
	size_t len = SSL_SESSION_get_master_key(s, secret, sizeof secret);
	for (size_t i = 0; i < len; i++)
		secret[i] = strcmp(how, "zero") == 0 ? 0 : secret[i] ^ 0x5a;
	if (!SSL_SESSION_set1_master_key(s, secret, len))
		die("SSL_SESSION_set1_master_key failed");
}

void do_store(char **words, int n)
{
	SSL_SESSION *s = held(words[2]);
	if (strcmp(words[1], "put") == 0)
		store_put(s);
	else if (strcmp(words[1], "delete") == 0)
		store_delete(s);
	else if (slot_of(s) == NULL)
		die("the store has no session %s", words[2]);
	else
		spoil(*slot_of(s), option(words, n, "secret"));
}
