// Opens many connections to an HTTP server, makes one request on each, and leaves them idle.
//
//     idle ADDRESS PORT COUNT [PROCESS]
//
// Prints how many were answered, how many of those were answered a second time after all were open,
// and how many octets of memory more are in use between: of PROCESS, whose proportional set size
// /proc tells, or else of the server's machine, which answers GET /memory with the octets in use.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct sockaddr_in server;

static int open_connection(void) {
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 5};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connection >= 0 && connect(connection, (struct sockaddr *)&server, sizeof server) == 0)
        return connection;
    if (connection >= 0) close(connection);
    return -1;
}

/// Makes one request; the answer's length if its status is 200, else 0. It must come in one piece.
static size_t ask(int connection, const char *path, char *answer, size_t size) {
    char request[128];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path);
    if (send(connection, request, (size_t)length, MSG_NOSIGNAL) != length) return 0;
    ssize_t count = recv(connection, answer, size - 1, 0);
    if (count < 12) return 0;
    answer[count] = 0;
    return memcmp(answer, "HTTP/1.1 200", 12) == 0 ? (size_t)count : 0;
}

static long long memory_of_process(const char *process) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%s/smaps_rollup", process);
    FILE *file = fopen(path, "r");
    long long kibibytes = -1;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Pss: %lld kB", &kibibytes) == 1) break;
    if (file != NULL) fclose(file);
    return kibibytes < 0 ? -1 : kibibytes * 1024;
}

static long long memory_of_machine(int connection) {
    char answer[512];
    if (ask(connection, "/memory", answer, sizeof answer) == 0) return -1;
    char *body = strstr(answer, "\r\n\r\n");
    return body == NULL ? -1 : atoll(body + 4);
}

int main(int words, char **word) {
    if (words < 4) {
        fprintf(stderr, "usage: idle ADDRESS PORT COUNT [PROCESS]\n");
        return 64;
    }
    int count = atoi(word[3]);
    struct rlimit files = {.rlim_cur = (rlim_t)count + 64, .rlim_max = (rlim_t)count + 64};
    server = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(word[2]))};
    int *connections = calloc((size_t)count, sizeof *connections);
    if (inet_pton(AF_INET, word[1], &server.sin_addr) != 1 || connections == NULL ||
        setrlimit(RLIMIT_NOFILE, &files) != 0) {
        perror("idle");
        return 1;
    }
    char answer[4096];
    // What the server sets up once is not counted.
    int first = open_connection();
    if (first < 0 || ask(first, "/", answer, sizeof answer) == 0) {
        fprintf(stderr, "idle: no answer\n");
        return 1;
    }
    long long before = words > 4 ? memory_of_process(word[4]) : memory_of_machine(first);
    int answered = 0, answered_again = 0;
    for (int i = 0; i < count; i++) {
        connections[i] = open_connection();
        if (connections[i] < 0) break;
        if (ask(connections[i], "/", answer, sizeof answer) > 0) answered++;
    }
    usleep(200000);
    long long after = words > 4 ? memory_of_process(word[4]) : memory_of_machine(first);
    for (int i = 0; i < answered; i++)
        if (ask(connections[i], "/", answer, sizeof answer) > 0) answered_again++;
    printf("%d %d %lld\n", answered, answered_again, before < 0 || after < 0 ? -1 : after - before);
    return 0;
}
