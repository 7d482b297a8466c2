/* Reads commands from standard input, one a line, and prints what each does. */
#include "runner.h"

struct cache *cache;
const char *protocol, *certificates;
int quiet;
struct tally tally;

static int depth; /* of commands that callbacks run */

void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	ERR_print_errors_fp(stderr);
	exit(1);
}

void say(const char *format, ...)
{
	va_list args;
	if (quiet)
		return;
	printf("%*s", 2 * depth, "");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* option returns the value of a word key=value, or NULL. */
const char *option(char **words, int n, const char *key)
{
	size_t len = strlen(key);
	for (int i = 0; i < n; i++)
		if (strncmp(words[i], key, len) == 0 && words[i][len] == '=')
			return words[i] + len + 1;
	return NULL;
}

int has_word(char **words, int n, const char *word)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return 1;
	return 0;
}

static void dispatch(char **words, int n, const char *line)
{
	const char *verb = words[0];
	if (strcmp(verb, "cache") == 0 || strcmp(verb, "use") == 0)
		do_cache(words, n);
	else if (strcmp(verb, "server") == 0)
		do_server(words, n);
	else if (strcmp(verb, "servername") == 0)
		do_servername(words);
	else if (strcmp(verb, "client") == 0)
		do_client(words, n);
	else if (strcmp(verb, "connect") == 0)
		do_connect(words, n);
	else if (strcmp(verb, "forge") == 0)
		do_forge(words, n);
	else if (strcmp(verb, "on") == 0)
		do_on(words, n, line);
	else if (strcmp(verb, "callbacks") == 0)
		do_callbacks();
	else if (strcmp(verb, "ids") == 0)
		do_ids(words, n);
	else if (strcmp(verb, "store") == 0)
		do_store(words, n);
	else if (!do_api(words, n))
		die("unknown command: %s", line);
}

/* run carries out a command, which ends at " then ". */
void run(const char *line)
{
	char text[MAX_LINE], *words[MAX_WORDS];
	int n = 0;
	snprintf(text, sizeof text, "%s", line);
	char *then = strstr(text, " then ");
	if (then != NULL)
		*then = 0;
	for (char *word = text, *end; n < MAX_WORDS && *word != 0; word = end) {
		end = word + strcspn(word, " ");
		if (*end != 0)
			*end++ = 0;
		words[n++] = word;
	}
	if (n > 0)
		dispatch(words, n, line);
	ERR_clear_error();
}

/* run_then carries out the command of a callback, once. */
void run_then(struct action *a)
{
	char then[MAX_LINE];
	if (a->then[0] == 0)
		return;
	snprintf(then, sizeof then, "%s", a->then);
	a->then[0] = 0;
	depth++;
	say("> %s", then);
	run(then);
	depth--;
}

int main(int argc, char **argv)
{
	char line[MAX_LINE], *words[] = {"cache", "a"};
	if (argc == 2 && strcmp(argv[1], "version") == 0) {
		puts(OpenSSL_version(OPENSSL_VERSION_STRING));
		return 0;
	}
	if (argc != 4)
		die("usage: runner PROTOCOL CERTIFICATES START < COMMANDS");
	protocol = argv[1];
	certificates = argv[2];
	clock_start(atol(argv[3]));
	clock_probe();
	do_cache(words, 2);
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = 0;
		printf("> %s\n", line);
		run(line);
	}
	return 0;
}
