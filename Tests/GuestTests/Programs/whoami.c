// An HTTP server that listens once, for IPv4 and IPv6, and tells each client its address.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  int listener = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
  if (bind(listener, (void *)&own, sizeof own) || listen(listener, 16)) return 1;
  for (;;) {
    struct sockaddr_in6 peer;
    socklen_t size = sizeof peer;
    char request[4096], address[64], answer[256];
    int client = accept(listener, (void *)&peer, &size);
    if (client < 0) return 2;
    // All of a small request comes at once.
    if (read(client, request, sizeof request) > 0) {
      inet_ntop(AF_INET6, &peer.sin6_addr, address, sizeof address);
      snprintf(answer, sizeof answer,
               "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
               strlen(address) + 1, address);
      if (write(client, answer, strlen(answer)) < 0) return 3;
    }
    close(client);
  }
}
