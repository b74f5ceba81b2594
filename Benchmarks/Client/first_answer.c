// Starts a server and measures the time from just before its start to its first HTTP answer.
//
//     first_answer ADDRESS PORT COMMAND [ARGUMENT]…
//
// Prints microseconds from fork to the first octet of an answer, and if the server is the built-in
// monitor, behind that from fork to each of its moments (MachineStatistics.swift); then ends the
// server. A command that ends with success has left the server in the background; to end it is up to
// the caller. A connection is tried anew each half millisecond: a SYN that nobody heard would be sent again only after a
// second. Gives up after ten seconds. The server's output goes to /dev/null.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int wait_for(int descriptor, short events, int microsecond_limit) {
    struct pollfd entry = {.fd = descriptor, .events = events};
    struct timespec limit = {.tv_nsec = microsecond_limit * 1000L};
    return ppoll(&entry, 1, &limit, NULL) == 1 && (entry.revents & events);
}

/// True if an answer came.
static int ask(const struct sockaddr_in *address) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;
    socklen_t size = sizeof error;
    char octet;
    int answered = connection >= 0 &&
        (connect(connection, (const struct sockaddr *)address, sizeof *address) == 0 ||
         (errno == EINPROGRESS && wait_for(connection, POLLOUT, 500))) &&
        getsockopt(connection, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 &&
        send(connection, request, sizeof request - 1, MSG_NOSIGNAL) > 0 &&
        wait_for(connection, POLLIN, 900000) && recv(connection, &octet, 1, 0) == 1;
    if (connection >= 0) close(connection);
    return answered;
}

/// The server's moments, from the page of memory that the monitor shares; nothing of other servers.
static void print_moments(pid_t server, int64_t start) {
    enum { OFFSET = 512, MOST = 16 };
    for (int number = 3; number < 32; number++) {
        char path[64], target[64] = "";
        uint64_t times[MOST];
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)server, number);
        if (readlink(path, target, sizeof target - 1) < 0 ||
            strncmp(target, "/memfd:swiftlet-statistics", 26) != 0)
            continue;
        int page = open(path, O_RDONLY);
        if (pread(page, times, sizeof times, OFFSET) == (ssize_t)sizeof times)
            for (int index = 0; index < MOST && times[index] != 0; index++)
                printf(" %lld", (long long)times[index] / 1000 - (long long)start);
        close(page);
        return;
    }
}

int main(int count, char **words) {
    if (count < 4) {
        fprintf(stderr, "usage: first_answer ADDRESS PORT COMMAND [ARGUMENT]...\n");
        return 64;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    if (inet_pton(AF_INET, words[1], &address.sin_addr) != 1) return 64;
    int64_t start = microseconds();
    pid_t server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        execvp(words[3], words + 3);
        perror(words[3]);
        _exit(127);
    }
    int64_t end = 0;
    int status = 0, has_ended = 0;
    while (microseconds() - start < 10000000) {
        if (!has_ended && waitpid(server, &status, WNOHANG) != 0) has_ended = 1;
        if (status != 0) break;
        if (ask(&address)) {
            end = microseconds();
            printf("%lld", (long long)(end - start));
            print_moments(server, start);
            printf("\n");
            break;
        }
        usleep(200);
    }
    if (!has_ended) kill(-server, SIGTERM);
    for (int tries = 0; !has_ended && tries < 500 && waitpid(server, NULL, WNOHANG) == 0; tries++) {
        if (tries == 250) kill(-server, SIGKILL);
        usleep(2000);
    }
    if (end == 0) {
        fprintf(stderr, "no answer\n");
        return 1;
    }
    return 0;
}
