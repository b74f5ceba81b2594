// What a network card is plugged into: a tap device of the host's.

import CSwiftletKVM
import Glibc

/// Frames to and from the host. Nothing here waits.
struct NetworkLink {
    /// To be polled for arriving frames.
    let file: Int32
    /// Whether the kernel computes checksums, and takes ours as right.
    let offloadsChecksums: Bool

    /// A socket or pipe that keeps frames apart, each behind a header, for tests.
    init(datagrams file: Int32) {
        self.file = file
        offloadsChecksums = false
    }

    /// Attaches to a tap device; makes it if there is none, and if this process may.
    init(tap name: String) throws(MonitorError) {
        guard !name.isEmpty, name.utf8.count < 16 else {
            throw MonitorError("'\(name)' is no name of a network interface")
        }
        file = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw .system("cannot open /dev/net/tun") }
        guard swiftlet_tun_attach(file, name, Int32(NetworkDevice.headerSize)) == 0 else {
            throw .system("cannot attach to tap '\(name)'")
        }
        offloadsChecksums = true
    }

    /// Whether frames may arrive whose checksum is still to be computed.
    func setChecksumOffload(_ isWanted: Bool) {
        guard offloadsChecksums else { return }
        _ = swiftlet_tun_offload_checksums(file, isWanted ? 1 : 0)
    }

    /// Sends a header and a frame. What the host does not take at once is lost, as on any wire.
    func send(_ vectors: UnsafePointer<iovec>, count: Int) {
        while writev(file, vectors, Int32(count)) < 0, errno == EINTR {}
    }

    /// Receives a header and a frame; their octets, or less than 1 if none is there.
    func receive(_ vectors: UnsafePointer<iovec>, count: Int) -> Int {
        while true {
            let length = readv(file, vectors, Int32(count))
            if length >= 0 || errno != EINTR { return length }
        }
    }
}
