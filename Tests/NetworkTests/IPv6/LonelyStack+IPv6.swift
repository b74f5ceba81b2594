// A lonely stack on a link of IPv6: its address, a neighbour, a router.

import SwiftletNetwork
import SwiftletTestSupport

extension LonelyStack {
    static let neighbour = v6("fe80::fe")
    static let router = v6("fe80::1")
    static let far = v6("2001:db8:ffff::9")
    static let prefix = v6("2001:db8:1::")

    /// A stack with IPv6, whose addresses have been checked.
    init(
        ipv6 source: IPv6Source, mtu: Int = 1500, offloads: Bool = false,
        _ change: (inout NetworkConfiguration) -> Void = { _ in }
    ) {
        self.init(configured: false, mtu: mtu, offloads: offloads, change)
        stack.configureIPv6(source, now: now)
        run(milliseconds: 3000)
        _ = sent()
    }

    /// The link-local address.
    var linkLocal: IPAddress { stack.addressesIPv6[0].address }

    /// Receives a packet of IPv6 from the peer's hardware address.
    mutating func receive6(_ packet: [UInt8], to hardware: UInt64 = Self.hardware) {
        receive(Frames.ethernet6(to: hardware, from: Self.peerHardware, packet))
    }

    /// Receives one that went to a group.
    mutating func receiveGroup6(_ packet: [UInt8]) {
        let low = packet[36..<40].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        receive6(packet, to: 0x3333_0000_0000 | low)
    }

    /// A neighbour asks for an address.
    mutating func receiveSolicitation(
        of target: IPAddress, from source: IPAddress = neighbour, hopLimit: UInt8 = 255,
        options: [UInt8] = Frames.hardwareOption(1, peerHardware)
    ) {
        let group = IPAddress(high: 0xFF02 << 48, low: 0x1_FF00_0000 | target.low & 0xFF_FFFF)
        receiveGroup6(
            Frames.icmpV6(
                from: source, to: group, type: 135, hopLimit: hopLimit,
                be32(0) + be128(target) + options))
    }

    /// The neighbour says where it is: S and O of its flags are set.
    mutating func receiveAdvertisement(
        of target: IPAddress, flags: UInt32 = 0x6000_0000, hardware: UInt64? = peerHardware
    ) {
        receive6(
            Frames.icmpV6(
                from: target, to: linkLocal, type: 136,
                be32(flags) + be128(target)
                    + (hardware.map { Frames.hardwareOption(2, $0) } ?? [])))
    }

    /// A router advertises a prefix for addresses.
    mutating func receiveRouter(
        _ options: [UInt8] = Frames.prefixOption(prefix), lifetime: Int = 1800, flags: UInt8 = 0,
        from source: IPAddress = router
    ) {
        receiveGroup6(
            Frames.routerAdvertisement(
                from: source, lifetime: lifetime, flags: flags,
                Frames.hardwareOption(1, Self.peerHardware) + options))
    }

    /// The packets of ICMPv6 that were sent, by type; reports behind their hop-by-hop header too.
    mutating func sentMessages(_ type: UInt8) -> [[UInt8]] {
        sent().filter { frame in
            guard frame.count > 54, frame[12...13].elementsEqual([0x86, 0xDD]) else { return false }
            let start = frame[20] == 0 ? 62 : 54
            return (frame[20] == 58 || frame[20] == 0 && frame[54] == 58) && frame[start] == type
        }
    }
}

/// The address at an offset of a frame.
func address6(_ frame: [UInt8], _ offset: Int) -> IPAddress {
    func half(_ start: Int) -> UInt64 {
        frame[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
    return IPAddress(high: half(offset), low: half(offset + 8))
}

/// True if the checksum of the payload behind a fixed header of IPv6 is right.
func holds6(_ frame: [UInt8], start: Int = 54) -> Bool {
    let source = address6(frame, 22)
    let destination = address6(frame, 38)
    let next = start == 54 ? frame[20] : frame[54]
    let payload = Array(frame[start...])
    return naiveSum(Frames.pseudoHeader6(source, destination, next, payload.count) + payload)
        == 0xFFFF
}
