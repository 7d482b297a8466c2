/* Connects twice, the second time with the session of the first. It prints, for each connection, a line that says
   whether wolfSSL takes it for resumed, and the whole response; between the two it prints a line and waits for one. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static char *host, *port, *name, *request;

static void fail(const char *what, int code) {
    char text[WOLFSSL_MAX_ERROR_SZ];
    fprintf(stderr, "%s: %s\n", what, wolfSSL_ERR_error_string(code, text));
    exit(1);
}

static int dial(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

static WOLFSSL_SESSION *visit(WOLFSSL_CTX *ctx, WOLFSSL_SESSION *session) {
    char alpn[] = "http/1.1", answer[4096];
    int n, fd = dial();
    WOLFSSL *ssl = wolfSSL_new(ctx);
    wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, name, strlen(name));
    wolfSSL_UseALPN(ssl, alpn, strlen(alpn), WOLFSSL_ALPN_FAILED_ON_MISMATCH);
    wolfSSL_check_domain_name(ssl, name);
    if (session != NULL) wolfSSL_set_session(ssl, session); /* refuses one that the server gave no id */
    wolfSSL_set_fd(ssl, fd);
    if ((n = wolfSSL_connect(ssl)) != WOLFSSL_SUCCESS) fail("connect", wolfSSL_get_error(ssl, n));
    printf("wolfSSL: %s\n", wolfSSL_session_reused(ssl) ? "resumed" : "full");
    if ((n = wolfSSL_write(ssl, request, strlen(request))) <= 0) fail("write", wolfSSL_get_error(ssl, n));
    while ((n = wolfSSL_read(ssl, answer, sizeof answer)) > 0) fwrite(answer, 1, n, stdout);
    if (wolfSSL_get_error(ssl, n) != WOLFSSL_ERROR_ZERO_RETURN) fail("read", wolfSSL_get_error(ssl, n));
    session = wolfSSL_get1_session(ssl);
    wolfSSL_shutdown(ssl);
    wolfSSL_free(ssl);
    close(fd);
    return session;
}

int main(int argc, char **argv) {
    if (argc != 8) return 2;
    host = argv[1], port = argv[2], name = argv[3], request = argv[5];
    wolfSSL_Init();
    WOLFSSL_CTX *ctx =
        wolfSSL_CTX_new(strcmp(argv[4], "1.2") == 0 ? wolfTLSv1_2_client_method() : wolfTLSv1_3_client_method());
    if (wolfSSL_CTX_load_verify_locations(ctx, argv[6], NULL) != WOLFSSL_SUCCESS) fail("roots", 0);
    WOLFSSL_SESSION *session = visit(ctx, NULL);
    printf("%s", argv[7]);
    fflush(stdout);
    getchar();
    visit(ctx, session);
    return 0;
}
