/* Names for sessions: s1, s2 and so on, in the order in which their ids appear. */
#include "runner.h"

#define MAX_NAMES 2048

static struct {
	unsigned char id[SSL_MAX_SSL_SESSION_ID_LENGTH];
	size_t len;
	char name[16];
	SSL_SESSION *held; /* the application's own reference */
} names[MAX_NAMES];
static int named;

static int find(const unsigned char *id, size_t len)
{
	for (int i = 0; i < named; i++)
		if (names[i].len == len && memcmp(names[i].id, id, len) == 0)
			return i;
	return -1;
}

static int number_of(const unsigned char *id, size_t len)
{
	int i = find(id, len);
	if (i >= 0)
		return i;
	if (named == MAX_NAMES || len == 0 || len > sizeof names[0].id)
		die("no name for an id of %zu bytes", len);
	memcpy(names[named].id, id, len);
	names[named].len = len;
	snprintf(names[named].name, sizeof names[named].name, "s%d", named + 1);
	return named++;
}

/* name_of names an id; "-" is no id, and "ticket" a stateless ticket. */
const char *name_of(const unsigned char *id, size_t len)
{
	if (len == 0)
		return "-";
	if (len > SSL_MAX_SSL_SESSION_ID_LENGTH)
		return "ticket";
	return names[number_of(id, len)].name;
}

const char *name_if_known(const unsigned char *id, size_t len)
{
	int i = find(id, len);
	return i < 0 ? "unknown" : names[i].name;
}

const char *name_of_session(const SSL_SESSION *s)
{
	unsigned int len;
	const unsigned char *id = SSL_SESSION_get_id(s, &len);
	return name_of(id, len);
}

/* hold keeps a reference to the first session object seen under its name. */
void hold(SSL_SESSION *s)
{
	unsigned int len;
	const unsigned char *id = SSL_SESSION_get_id(s, &len);
	if (len == 0)
		return;
	int i = number_of(id, len);
	if (names[i].held == NULL && SSL_SESSION_up_ref(s))
		names[i].held = s;
}

SSL_SESSION *held(const char *name)
{
	for (int i = 0; i < named; i++)
		if (strcmp(names[i].name, name) == 0 && names[i].held != NULL)
			return names[i].held;
	die("the application holds no session %s", name);
	return NULL;
}

/* copy_of decodes the encoding of a session, as an application's database would. */
SSL_SESSION *copy_of(SSL_SESSION *s)
{
	unsigned char der[1 << 16], *end = der;
	const unsigned char *begin = der;
	int len = i2d_SSL_SESSION(s, NULL);
	if (len <= 0 || len > (int)sizeof der || i2d_SSL_SESSION(s, &end) != len)
		die("i2d_SSL_SESSION failed");
	SSL_SESSION *copy = d2i_SSL_SESSION(NULL, &begin, len);
	if (copy == NULL)
		die("d2i_SSL_SESSION failed");
	return copy;
}

/* session_argument returns a new reference: "null", "blank", "s1" or "copy s1". */
SSL_SESSION *session_argument(char **words, int n)
{
	if (n == 1 && strcmp(words[0], "null") == 0)
		return NULL;
	if (n == 1 && strcmp(words[0], "blank") == 0)
		return SSL_SESSION_new();
	if (n == 2 && strcmp(words[0], "copy") == 0)
		return copy_of(held(words[1]));
	SSL_SESSION *s = held(words[0]);
	SSL_SESSION_up_ref(s);
	return s;
}
