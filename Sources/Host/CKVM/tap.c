// Tap devices: their ioctls take structures that Swift imports from glibc in another shape.

#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "CSwiftletKVM.h"

int swiftlet_tun_attach(int file, const char *name, int header_size) {
  struct ifreq request;
  memset(&request, 0, sizeof(request));
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  int result = ioctl(file, TUNSETIFF, &request);
  return result < 0 ? result : ioctl(file, TUNSETVNETHDRSZ, &header_size);
}

int swiftlet_tun_set_offload(int file, int checksums, int segments,
                             int segments_ipv6) {
  unsigned wanted = 0;
  if (checksums)
    wanted = TUN_F_CSUM | (segments ? TUN_F_TSO4 : 0) |
             (segments_ipv6 ? TUN_F_TSO6 : 0);
  return ioctl(file, TUNSETOFFLOAD, wanted);
}
