// Bulk transfers on Linux, as Benchmarks/Guests/Streams has them: what is sent to port 5001 is thrown
// away; port 5002 sends until the client leaves. A process a connection.
//
//     streams

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char block[65536];

/// A process beside this one, which ends when this one does.
static int fork_companion(void) {
    int process = fork();
    if (process == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
    return process;
}

static void serve(int port, void (*body)(int connection)) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 16) != 0) {
        perror("streams");
        exit(1);
    }
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) continue;
        if (fork_companion() == 0) {
            body(connection);
            _exit(0);
        }
        close(connection);
    }
}

static void receive_all(int connection) {
    while (read(connection, block, sizeof block) > 0) {}
}

static void send_all(int connection) {
    while (write(connection, block, sizeof block) > 0) {}
}

int main(void) {
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    memset(block, 'a', sizeof block);
    printf("ready\n");
    fflush(stdout);
    if (fork_companion() == 0) serve(5002, send_all);
    serve(5001, receive_all);
}
