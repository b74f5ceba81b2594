// The first and only process of the Linux peer, until it becomes the server: loads the drivers,
// gives eth0 its address, and executes the program.
//
//     /init ADDRESS NETMASK PROGRAM [ARGUMENT]…     (from the kernel command line, after `--`)
//
// Static, so that the initramfs of the C server needs no library.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// In the order of their dependencies.
static const char *const modules[] = {
    "virtio_ring", "virtio", "virtio_mmio", "failover", "net_failover", "virtio_net",
};

static void fail(const char *what) {
    printf("init: %s: %s\n", what, strerror(errno));
    fflush(stdout);
    reboot(RB_AUTOBOOT);
    for (;;) pause();
}

static void load(const char *module) {
    char path[64];
    snprintf(path, sizeof path, "/modules/%s.ko", module);
    int file = open(path, O_RDONLY);
    if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0) fail(path);
    close(file);
}

static void set_address(int socket, const char *interface, unsigned long request, const char *text) {
    struct ifreq change = {0};
    strncpy(change.ifr_name, interface, IFNAMSIZ - 1);
    struct sockaddr_in *address = (struct sockaddr_in *)&change.ifr_addr;
    address->sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &address->sin_addr) != 1) fail("bad address");
    if (ioctl(socket, request, &change) != 0) fail("cannot set the address");
}

static void bring_up(int socket, const char *interface) {
    struct ifreq change = {.ifr_flags = IFF_UP | IFF_RUNNING};
    strncpy(change.ifr_name, interface, IFNAMSIZ - 1);
    if (ioctl(socket, SIOCSIFFLAGS, &change) != 0) fail("cannot bring the interface up");
}

int main(int argc, char **argv) {
    if (argc < 4) fail("usage: init ADDRESS NETMASK PROGRAM");
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mkdir("/tmp", 0777);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) load(modules[i]);

    int control = socket(AF_INET, SOCK_DGRAM, 0);
    if (control < 0) fail("socket");
    set_address(control, "eth0", SIOCSIFADDR, argv[1]);
    set_address(control, "eth0", SIOCSIFNETMASK, argv[2]);
    bring_up(control, "lo");
    bring_up(control, "eth0");
    close(control);

    execv(argv[3], &argv[3]);
    fail(argv[3]);
}
