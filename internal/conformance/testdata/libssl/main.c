/* Reads commands from standard input, one a line, and prints what each does. */
#include "runner.h"
#include <sys/wait.h>
#include <unistd.h>

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

/* play runs the lines of one scenario, in a process of its own. */
static void play(char (*lines)[MAX_LINE], int n)
{
	char *words[] = {"cache", "a"};
	do_cache(words, 2);
	for (int i = 0; i < n; i++) {
		printf("> %s\n", lines[i]);
		run(lines[i]);
	}
	fflush(stdout);
	_exit(0);
}

static void read_line(char *line)
{
	if (fgets(line, MAX_LINE, stdin) == NULL)
		die("the input ends within a scenario");
	line[strcspn(line, "\n")] = 0;
}

/* play_all reads scenarios: "begin PROTOCOL COUNT" and as many commands. A process that
 * has loaded libssl once is forked for each. */
static void play_all(void)
{
	static char lines[MAX_COMMANDS][MAX_LINE];
	char head[MAX_LINE], name[MAX_WORD];
	int n, status;
	while (fgets(head, sizeof head, stdin) != NULL) {
		if (sscanf(head, "begin %63s %d", name, &n) != 2 || n < 0 || n > MAX_COMMANDS)
			die("not the beginning of a scenario: %s", head);
		for (int i = 0; i < n; i++)
			read_line(lines[i]);
		printf("begin\n");
		fflush(stdout);
		protocol = name;
		pid_t child = fork();
		if (child == 0)
			play(lines, n);
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			die("the scenario failed");
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "version") == 0) {
		puts(OpenSSL_version(OPENSSL_VERSION_STRING));
		return 0;
	}
	if (argc != 3)
		die("usage: runner CERTIFICATES START < SCENARIOS");
	certificates = argv[1];
	clock_start(atol(argv[2]));
	clock_probe();
	SSL_CTX_free(SSL_CTX_new(TLS_method())); /* loads what every scenario needs */
	play_all();
	return 0;
}
