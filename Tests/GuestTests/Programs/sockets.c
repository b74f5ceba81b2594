// Sockets of both versions of IP, over the loopback interface: streams, datagrams, one listener for both,
// names, options, and the errors of all of them. Each line of output is a call, its result and its error
// number: Linux and the library OS have to agree.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SAY(call)                                              \
  do {                                                         \
    errno = 0;                                                 \
    long result = (long)(call);                                \
    printf("%s: %ld, %d\n", #call, result, result < 0 ? errno : 0); \
  } while (0)

// An address of either version, and the length that goes with it.
struct address {
  socklen_t size;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  };
};

static struct address address(const char *text, int port) {
  struct address address = {0};
  if (strchr(text, ':')) {
    address.size = sizeof address.v6;
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(port);
    inet_pton(AF_INET6, text, &address.v6.sin6_addr);
  } else {
    address.size = sizeof address.v4;
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(port);
    inet_pton(AF_INET, text, &address.v4.sin_addr);
  }
  return address;
}

static int do_bind(int fd, const char *text, int port) {
  struct address to = address(text, port);
  return bind(fd, &to.any, to.size);
}

static int do_connect(int fd, const char *text, int port) {
  struct address to = address(text, port);
  return connect(fd, &to.any, to.size);
}

static int port_of(int fd) {
  struct address own = {.size = sizeof own.v6};
  getsockname(fd, &own.any, &own.size);
  return ntohs(own.v4.sin_port);
}

// Prints an address; ports differ from run to run.
static void show(const char *what, struct address *of, int port) {
  char text[64] = "?";
  if (of->any.sa_family == AF_INET6) inet_ntop(AF_INET6, &of->v6.sin6_addr, text, sizeof text);
  if (of->any.sa_family == AF_INET) inet_ntop(AF_INET, &of->v4.sin_addr, text, sizeof text);
  printf("%s: family %d, %d octets, %s, port %s\n", what, of->any.sa_family, of->size, text,
         ntohs(of->v4.sin_port) == port ? "as expected" : port ? "other" : "some");
}

static void names(int fd, int own_port, int peer_port) {
  struct address own = {.size = sizeof own.v6}, peer = {.size = sizeof peer.v6};
  SAY(getsockname(fd, &own.any, &own.size));
  show("own", &own, own_port);
  int result = getpeername(fd, &peer.any, &peer.size);
  if (result < 0) printf("no peer: %d\n", errno);
  else show("peer", &peer, peer_port);
}

static int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}

static int set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}

static int listener(int family, const char *text, int only) {
  int fd = socket(family, SOCK_STREAM, 0);
  if (family == AF_INET6) SAY(set(fd, IPPROTO_IPV6, IPV6_V6ONLY, only));
  SAY(do_bind(fd, text, 0));
  SAY(listen(fd, 8));
  return fd;
}

// A connection to `port`, from its beginning to its end.
static void stream(int listening, const char *to, int family) {
  int port = port_of(listening);
  char buffer[64] = {0};
  int client = socket(family, SOCK_STREAM, 0);
  printf("to %s\n", to);
  SAY(do_connect(client, to, port));
  struct address from = {.size = sizeof from.v6};
  int server = accept(listening, &from.any, &from.size);
  show("accepted", &from, port_of(client));
  names(server, port, port_of(client));
  names(client, 0, port);
  SAY(option(server, SOL_SOCKET, SO_DOMAIN));
  SAY(option(server, SOL_SOCKET, SO_TYPE));
  SAY(send(client, "ping", 4, 0));
  SAY(recv(server, buffer, 64, 0));
  SAY(send(server, "answer", 6, MSG_NOSIGNAL));
  SAY(recv(client, buffer, 64, 0));
  puts(buffer);
  SAY(shutdown(client, SHUT_WR));
  SAY(recv(server, buffer, 64, 0));
  SAY(close(server));
  SAY(recv(client, buffer, 64, 0));
  SAY(close(client));
}

static void streams(void) {
  int v4 = listener(AF_INET, "0.0.0.0", 0);
  stream(v4, "127.0.0.1", AF_INET);
  stream(v4, "::ffff:127.0.0.1", AF_INET6);
  int both = listener(AF_INET6, "::", 0);
  names(both, port_of(both), 0);
  stream(both, "127.0.0.1", AF_INET);
  stream(both, "::1", AF_INET6);
  stream(both, "::ffff:127.0.0.1", AF_INET6);
  int client = socket(AF_INET, SOCK_STREAM, 0);
  SAY(do_bind(client, "0.0.0.0", port_of(both)));
  int only = listener(AF_INET6, "::", 1);
  SAY(option(only, IPPROTO_IPV6, IPV6_V6ONLY));
  SAY(do_connect(client, "127.0.0.1", port_of(only)));
  close(client);
  stream(only, "::1", AF_INET6);
  // IPv4 has the port for itself, then.
  int other = socket(AF_INET, SOCK_STREAM, 0);
  SAY(do_bind(other, "0.0.0.0", port_of(only)));
  SAY(listen(other, 1));
  stream(other, "127.0.0.1", AF_INET);
  int same = socket(AF_INET6, SOCK_STREAM, 0);
  SAY(do_bind(same, "::", port_of(only)));
  close(same);
  int local = listener(AF_INET6, "::1", 0);
  stream(local, "::1", AF_INET6);
  close(local);
  close(other);
  close(only);
  close(both);
  close(v4);
}

static int send_to(int fd, const char *text, const char *to, int port) {
  struct address target = address(to, port);
  return sendto(fd, text, strlen(text), 0, &target.any, target.size);
}

static void receive(int fd, int port) {
  char buffer[64] = {0};
  struct address from = {.size = sizeof from.v6};
  SAY(recvfrom(fd, buffer, sizeof buffer, 0, &from.any, &from.size));
  puts(buffer);
  show("from", &from, port);
}

static void datagrams(void) {
  int both = socket(AF_INET6, SOCK_DGRAM, 0), v4 = socket(AF_INET, SOCK_DGRAM, 0);
  int v6 = socket(AF_INET6, SOCK_DGRAM, 0), only = socket(AF_INET6, SOCK_DGRAM, 0);
  SAY(do_bind(both, "::", 0));
  SAY(do_bind(v4, "127.0.0.1", 0));
  SAY(do_bind(v6, "::1", 0));
  SAY(set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  names(both, port_of(both), 0);
  SAY(send_to(v4, "by four", "127.0.0.1", port_of(both)));
  receive(both, port_of(v4));
  SAY(send_to(v6, "by six", "::1", port_of(both)));
  receive(both, port_of(v6));
  SAY(send_to(both, "back to four", "::ffff:127.0.0.1", port_of(v4)));
  receive(v4, port_of(both));
  SAY(send_to(both, "back to six", "::1", port_of(v6)));
  receive(v6, port_of(both));
  SAY(send_to(only, "x", "::ffff:127.0.0.1", port_of(v4)));
  SAY(send_to(v4, "x", "::1", port_of(v6)));
  SAY(send(v4, "x", 1, 0));
  SAY(do_connect(v6, "::1", port_of(both)));
  names(v6, port_of(v6), port_of(both));
  SAY(send(v6, "connected", 9, 0));
  receive(both, port_of(v6));
  struct sockaddr none = {AF_UNSPEC};
  SAY(connect(v6, &none, sizeof none));
  SAY(send(v6, "x", 1, 0));
  close(both);
  close(v4);
  close(v6);
  close(only);
}

static void *accept_one(void *fd) {
  return (void *)(accept((int)(long)fd, 0, 0) < 0 ? -(long)errno : 0);
}

// Several parts are one datagram; a connected socket has its peer's alone; who waits for a client
// learns of the listener's end; all octets, if that is asked for.
static void messages(void) {
  char first[4] = {0}, second[64] = {0};
  struct iovec out[2] = {{"ab", 2}, {"cde", 3}}, in[2] = {{first, 3}, {second, 60}};
  struct msghdr message = {.msg_iov = out, .msg_iovlen = 2};
  int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
  int other = socket(AF_INET, SOCK_DGRAM, 0);
  SAY(do_bind(one, "127.0.0.1", 0));
  SAY(do_bind(two, "127.0.0.1", 0));
  SAY(do_connect(one, "127.0.0.1", port_of(two)));
  SAY(do_connect(two, "127.0.0.1", port_of(one)));
  SAY(do_connect(other, "127.0.0.1", port_of(two)));
  SAY(write(other, "foreign", 7));
  SAY(writev(one, out, 2));
  SAY(sendmsg(one, &message, 0));
  SAY(readv(two, in, 2));
  printf("%s %s\n", first, second);
  message.msg_iov = in;
  SAY(recvmsg(two, &message, MSG_PEEK));
  SAY(recvmsg(two, &message, 0));
  printf("%s %s\n", first, second);
  SAY(recv(two, second, 9, MSG_DONTWAIT));
  close(one);
  close(two);
  close(other);

  int listening = listener(AF_INET, "127.0.0.1", 0);
  pthread_t thread;
  void *result;
  pthread_create(&thread, 0, accept_one, (void *)(long)listening);
  struct timespec moment = {0, 30000000};
  nanosleep(&moment, 0);
  SAY(shutdown(listening, SHUT_RDWR));
  pthread_join(thread, &result);
  printf("accept: %ld\n", (long)result);
  close(listening);

  int pair[2];
  SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  struct msghdr sent = {.msg_iov = out, .msg_iovlen = 2};
  SAY(sendmsg(pair[0], &sent, 0));
  SAY(recv(pair[1], second, 3, MSG_PEEK));
  message.msg_name = 0;
  SAY(recvmsg(pair[1], &message, 0));
  printf("%s %s\n", first, second);
  SAY(write(pair[0], "ab", 2));
  SAY(shutdown(pair[0], SHUT_WR));
  SAY(recv(pair[1], second, 9, MSG_WAITALL));
  close(pair[0]);
  close(pair[1]);
  SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  static char many[3000000];
  struct iovec all = {many, sizeof many};
  struct msghdr large = {.msg_iov = &all, .msg_iovlen = 1};
  long least = sendmsg(pair[0], &large, MSG_DONTWAIT);
  printf("a part of it: %d\n", least > 0 && least < (long)sizeof many);
}

static void refusals(void) {
  int v4 = socket(AF_INET, SOCK_STREAM, 0), v6 = socket(AF_INET6, SOCK_STREAM, 0);
  SAY(do_bind(v4, "::1", 0));
  SAY(do_bind(v6, "127.0.0.1", 0));
  SAY(do_bind(v6, "2001:db8::1", 0));
  SAY(do_bind(v4, "192.0.2.1", 0));
  struct address short_one = address("::1", 0);
  SAY(bind(v6, &short_one.any, 20));
  SAY(bind(v6, &short_one.any, 1));
  SAY(bind(v6, (void *)8, 28));
  SAY(do_connect(v4, "::1", 9));
  SAY(do_connect(v6, "127.0.0.1", 9));
  SAY(set(v6, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  SAY(do_bind(v6, "::ffff:127.0.0.1", 0));
  SAY(do_connect(v6, "::ffff:127.0.0.1", 9));
  SAY(set(v4, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  SAY(option(v4, SOL_SOCKET, SO_DOMAIN));
  SAY(option(v6, SOL_SOCKET, SO_DOMAIN));
  SAY(do_bind(v6, "::", 0));
  SAY(set(v6, IPPROTO_IPV6, IPV6_V6ONLY, 0));
  SAY(do_bind(v6, "::", 0));
  SAY(socket(77, SOCK_STREAM, 0));
  SAY(socket(AF_INET6, 9, 0));
  SAY(accept(v4, 0, 0));
  SAY(getpeername(v6, 0, 0));
  close(v4);
  close(v6);
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  streams();
  datagrams();
  messages();
  refusals();
  return 6;
}
