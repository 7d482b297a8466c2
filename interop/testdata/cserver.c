/*
 * A TLS server on OpenSSL that keeps its sessions in a directory, one DER file each, by
 * the callbacks of SSL_CTX_sess_set_new_cb(3). For each connection it reads one byte and
 * answers with one line: "full" or "resumed", or after the byte 'r' on how many files of
 * the directory it has called SSL_CTX_remove_session(3).
 *
 * usage: cserver CERTIFICATE KEY DIRECTORY CONTEXT
 *
 * It listens on a free port of 127.0.0.1, prints the port, and serves one connection
 * after the other until its standard input ends.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static const char *directory;

static void die(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void name_file(char *name, size_t size, const unsigned char *id, unsigned int length)
{
    size_t n = (size_t)snprintf(name, size, "%s/", directory);
    for (unsigned int i = 0; i < length; i++)
        n += (size_t)snprintf(name + n, size - n, "%02x", id[i]);
}

static void name_session(char *name, size_t size, const SSL_SESSION *session)
{
    unsigned int length;
    const unsigned char *id = SSL_SESSION_get_id(session, &length);
    name_file(name, size, id, length);
}

static int on_new(SSL *ssl, SSL_SESSION *session)
{
    char name[4096], part[4200];
    unsigned char *der = NULL;
    int length = i2d_SSL_SESSION(session, &der);
    FILE *file;

    (void)ssl;
    name_session(name, sizeof name, session);
    snprintf(part, sizeof part, "%s.part", name);
    if (length <= 0 || (file = fopen(part, "wb")) == NULL)
        die("write a session");
    if (fwrite(der, 1, (size_t)length, file) != (size_t)length || fclose(file) != 0 || rename(part, name) != 0)
        die("write a session");
    OPENSSL_clear_free(der, (size_t)length);
    return 0; /* no reference is kept */
}

static SSL_SESSION *read_session(const char *name)
{
    unsigned char der[65536];
    const unsigned char *at = der;
    FILE *file = fopen(name, "rb");
    size_t got;

    if (file == NULL)
        return NULL;
    got = fread(der, 1, sizeof der, file);
    fclose(file);
    return d2i_SSL_SESSION(NULL, &at, (long)got);
}

static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int length, int *copy)
{
    char name[4096];

    (void)ssl;
    *copy = 0; /* the caller gets this reference */
    name_file(name, sizeof name, id, (unsigned int)length);
    return read_session(name);
}

static void on_remove(SSL_CTX *context, SSL_SESSION *session)
{
    char name[4096];

    (void)context;
    name_session(name, sizeof name, session);
    unlink(name);
}

static int remove_all(SSL_CTX *context)
{
    DIR *files = opendir(directory);
    struct dirent *entry;
    SSL_SESSION *session;
    char name[4096];
    int removed = 0;

    if (files == NULL)
        die("read the directory");
    while ((entry = readdir(files)) != NULL) {
        snprintf(name, sizeof name, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] == '.' || (session = read_session(name)) == NULL)
            continue;
        SSL_CTX_remove_session(context, session);
        SSL_SESSION_free(session);
        removed++;
    }
    closedir(files);
    return removed;
}

static void serve(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    char command, answer[32];
    int n;

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, &command, 1) == 1) {
        if (command == 'r')
            n = snprintf(answer, sizeof answer, "%d\n", remove_all(context));
        else
            n = snprintf(answer, sizeof answer, "%s\n", SSL_session_reused(ssl) ? "resumed" : "full");
        SSL_write(ssl, answer, n);
        SSL_shutdown(ssl);
    } else {
        ERR_print_errors_fp(stderr);
    }
    SSL_free(ssl);
    close(fd);
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 16) != 0
        || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    struct pollfd fds[2];

    if (argc != 5) {
        fprintf(stderr, "usage: cserver CERTIFICATE KEY DIRECTORY CONTEXT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    directory = argv[3];
    if (SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 || SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1
        || SSL_CTX_set_session_id_context(context, (const unsigned char *)argv[4], (unsigned int)strlen(argv[4])) != 1)
        die("set up");
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET); /* stateful tickets in TLS 1.3 */
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_new);
    SSL_CTX_sess_set_get_cb(context, on_get);
    SSL_CTX_sess_set_remove_cb(context, on_remove);

    fds[0] = (struct pollfd){ .fd = listen_somewhere(), .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            die("poll");
        if (fds[1].revents)
            break;
        if (fds[0].revents)
            serve(context, accept(fds[0].fd, NULL, NULL));
    }
    SSL_CTX_free(context);
    return 0;
}
