// Whole Ethernet frames to and from an interface: the user's end of a tap, or a packet socket.

import Glibc

/// A descriptor on which each read and write is one frame.
final class FramePort: Sendable {
    let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// The user's end of the tap `name`: what Linux sends comes out, what is written Linux receives.
    static func tap(_ name: String, in network: NetworkNamespace) throws -> FramePort {
        try network.inside {
            let file = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)
            guard file >= 0 else { throw NetworkNamespace.failure("/dev/net/tun") }
            // TUNSETIFF of <linux/if_tun.h> with IFF_TAP and IFF_NO_PI: frames and nothing else.
            var request = Self.request(name)
            request[16] = 0x02
            request[17] = 0x10
            guard ioctl(file, 0x4004_54CA, &request) == 0 else {
                throw NetworkNamespace.failure("tap \(name)")
            }
            return FramePort(file)
        }
    }

    /// A packet socket on `name`: what is written goes out there, what comes in there is read.
    static func interface(_ name: String, in network: NetworkNamespace) throws -> FramePort {
        try network.inside {
            // AF_PACKET, SOCK_RAW with SOCK_CLOEXEC and SOCK_NONBLOCK, ETH_P_ALL.
            let type = Int32(SOCK_RAW.rawValue) | O_CLOEXEC | O_NONBLOCK
            let file = socket(17, type, Int32(UInt16(3).bigEndian))
            guard file >= 0 else { throw NetworkNamespace.failure("a packet socket") }
            var request = Self.request(name)
            guard ioctl(file, UInt(SIOCGIFINDEX), &request) == 0 else {
                throw NetworkNamespace.failure("interface \(name)")
            }
            // sockaddr_ll: family, protocol, index; the rest is of no use to bind(2).
            let family = UInt16(17)
            var address = [UInt8](repeating: 0, count: 20)
            address.replaceSubrange(
                0..<4, with: [UInt8(family & 0xFF), UInt8(family >> 8), 0x00, 0x03])
            address.replaceSubrange(4..<8, with: request[16..<20])
            let code = address.withUnsafeBytes {
                bind(
                    file, $0.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                    socklen_t($0.count))
            }
            guard code == 0 else { throw NetworkNamespace.failure("bind to \(name)") }
            // SOL_PACKET, PACKET_IGNORE_OUTGOING: not what this socket sent itself.
            var on: Int32 = 1
            setsockopt(file, 263, 23, &on, 4)
            // A burst is to wait, not to be lost: SO_RCVBUFFORCE.
            var size: Int32 = 32 << 20
            setsockopt(file, SOL_SOCKET, 33, &size, 4)
            return FramePort(file)
        }
    }

    /// struct ifreq with a name.
    private static func request(_ name: String) -> [UInt8] {
        var request = [UInt8](repeating: 0, count: 40)
        request.replaceSubrange(0..<min(name.utf8.count, 15), with: name.utf8.prefix(15))
        return request
    }

    /// Sends a frame; false if there was no room.
    @discardableResult
    func send(_ frame: [UInt8]) -> Bool {
        frame.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == frame.count
    }

    /// Sends a frame, and waits for room up to ten seconds.
    func sendWaiting(_ frame: [UInt8]) throws {
        for _ in 0..<1000 {
            if send(frame) { return }
            var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = poll(&waiting, 1, 10)
        }
        throw MachineFailure(description: "the interface takes no more frames")
    }

    /// The next frame; nil if there is none.
    func receive() -> [UInt8]? {
        let frame = [UInt8](unsafeUninitializedCapacity: 2048) { buffer, count in
            count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        return frame.isEmpty ? nil : frame
    }
}
