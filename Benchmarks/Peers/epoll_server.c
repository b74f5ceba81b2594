// The smallest honest HTTP server on Linux: one process, level-triggered epoll, keep-alive,
// pipelining, the same 5-octet body as the other servers. A peer of the benchmarks: what a
// server costs that does next to nothing outside the kernel.
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
#include <sys/socket.h>
#include <unistd.h>

enum { connection_limit = 4096, request_limit = 4096 };

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nHello";

/// What of a request has arrived, by file descriptor.
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

/// Reads what is there and answers each whole request head in it. False: the connection is over.
static bool serve(int connection) {
    char *octets = pending[connection]->octets;
    size_t *length = &pending[connection]->length;
    ssize_t count = read(connection, octets + *length, request_limit - *length);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    *length += (size_t)count;
    for (;;) {
        char *head_end = memmem(octets, *length, "\r\n\r\n", 4);
        if (head_end == NULL) return *length < request_limit;
        if (memcmp(octets, "GET ", 4) != 0) return false;
        // An answer fits an empty send buffer; a peer that does not read its answers is dropped.
        if (write(connection, answer, sizeof answer - 1) != sizeof answer - 1) return false;
        *length -= (size_t)(head_end + 4 - octets);
        memmove(octets, head_end + 4, *length);
    }
}

static void accept_one(int listener, int epoll) {
    int connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) return;
    int one = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connection < connection_limit) pending[connection] = calloc(1, sizeof **pending);
    if (connection >= connection_limit || pending[connection] == NULL) {
        close(connection);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event) != 0) end(connection);
}

int main(int argc, char **argv) {
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
