// Neighbour discovery (RFC 4861) for the guest: who has the host's addresses, and where the way out is.
//
// The guest asks, and is answered; nothing of what it says is kept. Its addresses it makes itself
// (RFC 4862), of a prefix that is QEMU's user-mode network's as well.

import Glibc

extension UserNetwork {
    private static let hopLimit: UInt8 = 255
    /// Between advertisements that nobody asked for: MaxRtrAdvInterval (RFC 4861 §6.2.1).
    private static let interval: UInt64 = 600_000_000_000
    /// How long a router may be one for (§6.2.1), in seconds.
    private static let lifetime: UInt16 = 9000
    private static let infinity = UInt32.max

    private enum Message {
        static let routerSolicitation: UInt8 = 133
        static let routerAdvertisement: UInt8 = 134
        static let neighbourSolicitation: UInt8 = 135
        static let neighbourAdvertisement: UInt8 = 136
    }

    /// Answers what asks for a router, or for one of the host's addresses.
    func receiveDiscovery(_ packet: GuestPacket) {
        let message = packet.payload
        // §6.1.1, §7.1.1: what a router has forwarded does not come from the link. Both have eight
        // octets at least.
        guard packet.hopLimit == Self.hopLimit, message.count >= 8, message[1] == 0 else { return }
        switch message[0] {
        case Message.routerSolicitation: advertise()
        case Message.neighbourSolicitation where message.count >= 24:
            answer(NetworkAddress(message, 8), to: packet.source)
        default: break
        }
    }

    /// Says what there is to be known of this network (§4.2), to all nodes.
    func advertise() {
        nextAdvertisement = now + Self.interval
        // Sixteen octets of its own; the card's address, the MTU, the prefix and the name server.
        let length = 16 + 8 + 8 + 32 + (nameServer == nil ? 0 : 24)
        sendDiscovery(to: UserNetworkAddress.allNodes, length: length) { message in
            message.store16(UInt16(Message.routerAdvertisement) << 8, 0)
            message.store16(64 << 8, 4)
            message.store16(Self.lifetime, 6)
            message.store32(0, 8)
            message.store32(0, 12)
            storeHardware(message + 16, type: 1)
            message.store16(0x0501, 24)
            message.store16(0, 26)
            message.store32(1500, 28)
            // On the link, and for addresses to be made of (§4.6.2).
            let prefix = message + 32
            prefix.store16(0x0304, 0)
            prefix.store16(64 << 8 | 0xC0, 2)
            prefix.store32(Self.infinity, 4)
            prefix.store32(Self.infinity, 8)
            prefix.store32(0, 12)
            prefix.store(NetworkAddress(high: UserNetworkAddress.prefix, low: 0), 16)
            guard nameServer != nil else { return }
            // RFC 8106 §5.1.
            let server = message + 64
            server.store16(0x1903, 0)
            server.store16(0, 2)
            server.store32(UInt32(Self.lifetime), 4)
            server.store(UserNetworkAddress.nameServerV6, 8)
        }
    }

    /// Tells who has `target`, if the host does (§4.4). No other is answered for: an address that the
    /// guest checks before it is its own is nobody's.
    private func answer(_ target: NetworkAddress, to source: NetworkAddress) {
        let own = [
            UserNetworkAddress.gatewayV6, UserNetworkAddress.nameServerV6,
            UserNetworkAddress.router,
        ]
        guard own.contains(target) else { return }
        let isKnown = source != .unspecified
        let asker = isKnown ? source : UserNetworkAddress.allNodes
        sendDiscovery(from: target, to: asker, length: 32) { message in
            message.store16(UInt16(Message.neighbourAdvertisement) << 8, 0)
            // A router's; solicited, unless all are told; to be believed rather than what was known.
            message.store32(isKnown ? 0xE000_0000 : 0xA000_0000, 4)
            message.store(target, 8)
            storeHardware(message + 24, type: 2)
        }
    }

    /// The option that tells a link-layer address (§4.6.1).
    private func storeHardware(_ option: UnsafeMutableRawPointer, type: UInt16) {
        option.store16(type << 8 | 1, 0)
        UserNetworkAddress.hardware.withUnsafeBytes {
            (option + 2).copyMemory(from: $0.baseAddress!, byteCount: 6)
        }
    }

    /// Sends a message of ICMPv6 that `body` writes, but for the checksum.
    private func sendDiscovery(
        from source: NetworkAddress = UserNetworkAddress.router, to target: NetworkAddress,
        length: Int, _ body: (UnsafeMutableRawPointer) -> Void
    ) {
        let before = GuestPacket.headerSize(target)
        // What finds no room is asked for again.
        guard let frame = link.append(before + length) else { return }
        let isGroup = target == UserNetworkAddress.allNodes
        headers.ethernet(frame, type: 0x86DD, to: isGroup ? [0x33, 0x33, 0, 0, 0, 1] : nil)
        headers.ipv6(
            frame + GuestPacket.ethernetSize, from: source, to: target,
            protocolNumber: UInt8(IPPROTO_ICMPV6), length: length, hopLimit: Self.hopLimit)
        let message = frame + before
        body(message)
        message.store16(0, 2)
        let pseudo = Checksum.pseudoHeader(source, target, UInt8(IPPROTO_ICMPV6), length)
        let checksum = Checksum.finish(Checksum.sum(message, length, pseudo))
        message.storeBytes(of: checksum, toByteOffset: 2, as: UInt16.self)
    }
}
