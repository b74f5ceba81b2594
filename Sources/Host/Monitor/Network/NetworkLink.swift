// What a network card is plugged into: a tap device of the host's, or the user network, which needs no root.

import CSwiftletKVM
import Glibc

/// Frames to and from the host, each behind a virtio_net_hdr. Nothing here waits.
enum NetworkLink {
    case tap(TapLink)
    case stream(StreamLink)

    /// To be polled for arriving frames.
    var file: Int32 {
        switch self {
        case .tap(let link): link.file
        case .stream(let link): link.file
        }
    }

    /// Whether the host computes checksums, and takes ours as right.
    var offloadsChecksums: Bool {
        if case .tap = self { return true }
        return false
    }

    /// Whether there is a frame that polling would not show.
    var hasFrame: Bool {
        if case .stream(let link) = self { return link.hasFrame }
        return false
    }

    /// Whether frames may arrive whose checksum is still to be computed, and TCP segments longer than
    /// a packet, over each version of IP.
    func setOffload(checksums: Bool, segments: Bool, segmentsIPv6: Bool) {
        guard case .tap(let link) = self else { return }
        _ = swiftlet_tun_set_offload(
            link.file, checksums ? 1 : 0, segments ? 1 : 0, segmentsIPv6 ? 1 : 0)
    }

    /// Sends a header, in a vector of its own, and a frame. What the host does not take is lost, as
    /// on any wire.
    func send(_ vectors: UnsafeMutablePointer<iovec>, count: Int) {
        switch self {
        case .tap(let link): link.send(vectors, count: count)
        case .stream(let link): link.send(vectors, count: count)
        }
    }

    /// Receives a header and a frame; their octets, or less than 1 if none is there.
    func receive(_ vectors: UnsafeMutablePointer<iovec>, count: Int) -> Int {
        switch self {
        case .tap(let link): link.receive(vectors, count: count)
        case .stream(let link): link.receive(vectors, count: count)
        }
    }
}

/// A tap device.
struct TapLink {
    let file: Int32

    /// Attaches to a tap device; makes it if there is none, and if this process may.
    init(name: String) throws(MonitorError) {
        guard !name.isEmpty, name.utf8.count < 16 else {
            throw MonitorError("'\(name)' is no name of a network interface")
        }
        file = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw .system("cannot open /dev/net/tun") }
        guard swiftlet_tun_attach(file, name, Int32(NetworkDevice.headerSize)) == 0 else {
            throw .system("cannot attach to tap '\(name)'")
        }
    }

    func send(_ vectors: UnsafePointer<iovec>, count: Int) {
        while writev(file, vectors, Int32(count)) < 0, errno == EINTR {}
    }

    func receive(_ vectors: UnsafePointer<iovec>, count: Int) -> Int {
        while true {
            let length = readv(file, vectors, Int32(count))
            if length >= 0 || errno != EINTR { return length }
        }
    }
}
