// IPv6 on a test's network: Linux has an address, the guest gets an advertisement, and is listened to.

import Glibc
import SwiftletNetwork
import SwiftletTestSupport

/// Linux's side of IPv6, and a router that is only frames.
final class NetworkIPv6: Sendable {
    static let linkLocal = v6("fe80::")
    static let prefix = v6("2001:db8:77::")
    static let hostAddress = "2001:db8:77::1"

    /// Linux's interface, which link-local addresses need.
    let interface: String
    private let port: FramePort

    /// Before the machine starts, so that nothing of it is missed.
    init(_ network: NetworkNamespace) async throws {
        interface =
            network.link == .direct ? NetworkNamespace.guestTap : NetworkNamespace.hostTap
        try await network.run([
            "sh", "-c",
            "cd /proc/sys/net/ipv6/conf/\(interface) && echo 0 >accept_dad && echo 0 >disable_ipv6",
        ])
        try await network.run([
            "ip", "-6", "addr", "add", "\(Self.hostAddress)/64", "dev", interface, "nodad",
        ])
        port = try FramePort.interface(interface, in: network)
    }

    /// Sends an advertisement of the prefix to all nodes, and waits for the address that the guest
    /// makes; sends it again if it was lost.
    func advertise() async throws -> IPAddress {
        let router = v6("fe80::77:1")
        let packet = Frames.routerAdvertisement(
            from: router,
            Frames.hardwareOption(1, NetworkNamespace.hostMAC) + Frames.prefixOption(Self.prefix))
        let frame = Frames.ethernet6(
            to: 0x3333_0000_0001, from: NetworkNamespace.hostMAC, packet)
        return try await waitForAddress(in: Self.prefix) { self.port.send(frame) }
    }

    /// The address with this prefix that the guest asks about before it is its own (RFC 4862 §5.4.2).
    func waitForAddress(
        in prefix: IPAddress, asking: @escaping @Sendable () -> Void = {}
    ) async throws -> IPAddress {
        try await onThread { [port] in
            for _ in 0..<60 {
                asking()
                var waiting = pollfd(fd: port.descriptor, events: Int16(POLLIN), revents: 0)
                while poll(&waiting, 1, 500) == 1, let frame = port.receive() {
                    if let address = Self.probed(frame), address.high == prefix.high {
                        return address
                    }
                }
            }
            throw MachineFailure(description: "the guest made no address of \(prefix)")
        }
    }

    /// The target of a solicitation that has no source.
    private static func probed(_ frame: [UInt8]) -> IPAddress? {
        guard frame.count >= 78, frame[12...13].elementsEqual([0x86, 0xDD]), frame[20] == 58,
            frame[54] == 135, frame[22..<38].allSatisfy({ $0 == 0 })
        else { return nil }
        func half(_ start: Int) -> UInt64 {
            frame[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
        return IPAddress(high: half(62), low: half(70))
    }
}
