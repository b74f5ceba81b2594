// One stack alone, with a test in the place of the rest of the network.

import SwiftletNetwork

/// A stack whose frames a test reads and answers by hand.
struct LonelyStack: ~Copyable {
    var stack: NetworkStack<SimulatedDevice>
    var now = Instant(nanoseconds: 5_000_000_000)

    static let hardware: UInt64 = 0x0200_0000_0001
    static let peerHardware: UInt64 = 0x0200_0000_00FE
    static let address = IPv4Address(192, 168, 7, 10)
    static let peer = IPv4Address(192, 168, 7, 1)
    static let stranger = IPv4Address(198, 51, 100, 9)

    init(
        configured: Bool = true, mtu: Int = 1500, offloads: Bool = false,
        _ change: (inout NetworkConfiguration) -> Void = { _ in }
    ) {
        var configuration = NetworkConfiguration()
        change(&configuration)
        stack = NetworkStack(
            device: SimulatedDevice(hardwareAddress: Self.hardware, mtu: mtu, offloads: offloads),
            configuration: configuration, secret: (0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321))
        guard configured else { return }
        let network = IPv4Network(Self.address, prefixLength: 24)
        stack.configure(.static(IPv4Configuration(network, gateway: Self.peer)), now: now)
        run(milliseconds: 10_000)
        _ = sent()
    }

    mutating func sent() -> [[UInt8]] {
        stack.interface.device.collect()
    }

    mutating func receive(_ frame: [UInt8], verified: Bool = false) {
        stack.receive(frame.span.bytes, checksumVerified: verified, now: now)
    }

    /// Receives a packet from the peer's hardware address.
    mutating func receivePacket(_ packet: [UInt8], to hardware: UInt64 = Self.hardware) {
        receive(
            Frames.ethernet(to: hardware, from: Self.peerHardware, type: 0x0800, packet))
    }

    /// Lets time pass, with polls when they are due.
    mutating func run(milliseconds: UInt64) {
        let end = Instant(nanoseconds: now.nanoseconds + milliseconds * 1_000_000)
        while stack.nextDeadline <= end {
            now = max(now, stack.nextDeadline)
            stack.poll(now: now)
        }
        now = end
    }

    /// Makes the peer a known neighbour.
    mutating func introducePeer() {
        receive(
            Frames.arp(
                operation: 1, sender: (Self.peerHardware, Self.peer), target: (0, Self.address),
                to: Frames.broadcast))
        _ = sent()
    }
}
