// The smallest honest HTTP server on Linux: one process, level-triggered epoll, keep-alive,
// pipelining, the same 5-octet body as the other servers. A peer of the benchmarks: what a
// server costs that does next to nothing outside the kernel. GET /memory answers with the octets of
// memory in use in the machine.
//
//     epoll_server PORT

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { connection_limit = 16384, request_limit = 4096 };

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nHello";
static const char last_answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
    "Connection: close\r\n\r\nHello";

/// What of a request has arrived, by file descriptor; nothing between requests.
static struct {
    size_t length;
    char octets[request_limit];
} *pending[connection_limit];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void end(int connection) {
    close(connection);
    free(pending[connection]);
    pending[connection] = NULL;
}

static bool tell_memory(int connection) {
    long long total = 0, available = 0;
    char line[128], body[32], head[128];
    FILE *file = fopen("/proc/meminfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "MemTotal: %lld kB", &total);
        sscanf(line, "MemAvailable: %lld kB", &available);
    }
    if (file != NULL) fclose(file);
    int length = snprintf(body, sizeof body, "%lld", (total - available) * 1024);
    int size = snprintf(
        head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, body);
    return write(connection, head, (size_t)size) == size;
}

/// Whether the client asked for the end of the connection, in the spelling that wrk is given.
static bool is_last(const char *head, size_t length) {
    static const char field[] = "Connection: close\r\n";
    return memmem(head, length, field, sizeof field - 1) != NULL;
}

/// Reads what is there and answers each whole request head in it. False: the connection is over.
static bool serve(int connection) {
    static char octets[request_limit];
    size_t length = 0;
    if (pending[connection] != NULL) {
        length = pending[connection]->length;
        memcpy(octets, pending[connection]->octets, length);
    }
    ssize_t count = read(connection, octets + length, request_limit - length);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    length += (size_t)count;
    char *rest = octets;
    for (;;) {
        char *head_end = memmem(rest, length, "\r\n\r\n", 4);
        if (head_end == NULL) break;
        size_t head = (size_t)(head_end + 4 - rest);
        if (memcmp(rest, "GET ", 4) != 0) return false;
        if (memcmp(rest + 4, "/memory ", 8) == 0) {
            if (!tell_memory(connection)) return false;
        } else {
            bool ends = is_last(rest, head);
            const char *octets = ends ? last_answer : answer;
            ssize_t size = ends ? sizeof last_answer - 1 : sizeof answer - 1;
            // An answer fits an empty send buffer; a peer that does not read is dropped.
            if (write(connection, octets, (size_t)size) != size || ends) return false;
        }
        rest += head;
        length -= head;
    }
    if (length == 0) {
        free(pending[connection]);
        pending[connection] = NULL;
        return true;
    }
    if (length == request_limit) return false;
    if (pending[connection] == NULL) pending[connection] = malloc(sizeof **pending);
    if (pending[connection] == NULL) return false;
    pending[connection]->length = length;
    memcpy(pending[connection]->octets, rest, length);
    return true;
}

static void accept_one(int listener, int epoll) {
    int connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) return;
    int one = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connection >= connection_limit) {
        close(connection);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event) != 0) end(connection);
}

int main(int argc, char **argv) {
    struct rlimit files = {.rlim_cur = connection_limit, .rlim_max = connection_limit};
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (listener < 0) fail("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "80")),
    };
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
    if (listen(listener, 1024) != 0) fail("listen");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll");

    struct epoll_event events[64];
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            int file = events[i].data.fd;
            if (file == listener) {
                accept_one(listener, epoll);
            } else if (!serve(file)) {
                end(file);
            }
        }
    }
}
