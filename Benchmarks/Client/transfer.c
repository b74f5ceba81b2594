// Measures a bulk transfer over one TCP connection.
//
//     transfer ADDRESS send|receive SECONDS
//
// Sends to port 5001, or receives from port 5002, for so long, and prints the octets that passed
// and the microseconds that it took.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: transfer ADDRESS send|receive SECONDS\n");
        return 64;
    }
    int sends = strcmp(words[2], "send") == 0;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(sends ? 5001 : 5002)};
    static char block[1 << 18];
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    // A transfer that stalls ends with an error, not never.
    struct timeval patience = {.tv_sec = 5};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (inet_pton(AF_INET, words[1], &address.sin_addr) != 1 ||
        connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("transfer: connect");
        return 1;
    }
    int64_t start = microseconds(), end = start + atoll(words[3]) * 1000000, now = start, total = 0;
    while (now < end) {
        ssize_t part = sends ? send(connection, block, sizeof block, MSG_NOSIGNAL)
                             : recv(connection, block, sizeof block, 0);
        if (part <= 0) {
            perror("transfer: the connection ended");
            return 1;
        }
        total += part;
        now = microseconds();
    }
    printf("%lld %lld\n", (long long)total, (long long)(now - start));
    return 0;
}
