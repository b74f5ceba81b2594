// One network card with its addresses and neighbours: how packets leave the machine.
//
// It is apart from the stack so that TCP, which the stack also owns, can write its segments
// straight into the card's buffers through `SegmentOutput` without anything being shared.

/// What became of an outgoing packet.
enum SendResult: Equatable {
    case sent
    /// Waits for the neighbour's hardware address.
    case waiting
    /// The card has no room: try again later.
    case busy
    case unreachable
}

/// Where a packet goes next, once its neighbour was looked up.
enum Hop {
    case hardware(UInt64)
    case loopback
    /// A request is under way.
    case waits(IPAddress)
    /// Too many requests are.
    case busy
    case unreachable
}

/// The link side of a stack: card, addresses, neighbours, the way out.
public struct NetworkInterface<Device: NetworkDevice & ~Copyable>: ~Copyable {
    /// The card. Whoever polls it for received frames reaches it here.
    public var device: Device
    /// Counts of this interface and of the stack above it.
    public internal(set) var statistics = NetworkStatistics()
    /// The address of IPv4 in use; nil before DHCP has one.
    public internal(set) var configuration: IPv4Configuration?

    /// The directed broadcast address: no host's, so no source. Zero: there is none.
    private(set) var directedBroadcast = IPv4Address.any

    let hardwareAddress: UInt64
    /// The card's own word: asked once, as it cannot change.
    let linkMTU: Int
    let offloadsChecksum: Bool
    let longestSegmentedPacket: Int
    let longestSegmentedPacketIPv6: Int

    var arp = ARPCache()
    /// IPv6's addresses and routers, and its neighbours.
    var ipv6: IPv6Host
    var neighbours: NeighbourCache
    var pathMTU = PathMTUCache()
    /// When anything but TCP is due, or earlier: kept by the stack, so that a packet costs one
    /// comparison. What changes a deadline on the way out lowers it.
    var otherDeadline = Instant.never
    /// The time of the call that the stack is in: output has no other way to know.
    var now = Instant(nanoseconds: 0)

    /// The last destination that was resolved, so that a stream of packets looks nothing up.
    private var lastDestination = IPAddress.unspecified
    private var lastNextHop = IPAddress.unspecified
    private var lastHardware: UInt64 = 0
    private var lastGeneration: UInt32 = 0
    private var lastWasUsed = false

    private var identification: UInt16
    /// Packets that wait for a neighbour (RFC 1122 §2.3.2.2, RFC 4861 §7.2.2), and packets to ourselves.
    private var waiting: [WaitingPacket] = []
    private var loopback: [[UInt8]] = []

    static var maximumWaiting: Int { 16 }
    /// The same of segments without data: a crowd that meets a server just started is answered.
    static var maximumWaitingSmall: Int { 256 }
    static var maximumLoopback: Int { 256 }

    init(device: consuming Device, stableKey: (UInt64, UInt64), secret: UInt64) {
        hardwareAddress = device.hardwareAddress
        ipv6 = IPv6Host(hardwareAddress: hardwareAddress, key: stableKey, secret: secret >> 9)
        neighbours = NeighbourCache(key: secret)
        linkMTU = min(device.maximumTransmissionUnit, 65_535)
        offloadsChecksum = device.offloadsTransmitChecksum
        longestSegmentedPacket = offloadsChecksum ? min(device.longestSegmentedPacket, 65_535) : 0
        longestSegmentedPacketIPv6 =
            offloadsChecksum ? min(device.longestSegmentedPacketIPv6, 65_535) : 0
        self.device = device
        identification = UInt16(truncatingIfNeeded: secret)
    }

    /// The address that packets to `destination` are sent from.
    func sourceAddress(for destination: IPAddress) -> IPAddress? {
        guard let destination = destination.v4 else {
            guard Features.ipv6, ipv6.isActive else { return nil }
            return destination == .loopback
                ? destination : ipv6.source(for: destination, now: now)
        }
        return destination.isLoopback
            ? IPAddress(destination) : configuration.map { IPAddress($0.address) }
    }

    /// The longest packet towards `destination`.
    func mtu(to destination: IPAddress) -> Int {
        let link = longestPacket(of: destination)
        return pathMTU.isEmpty ? link : pathMTU.mtu(to: destination, link: link, now: now)
    }

    /// The longest packet of the address's version on the link.
    func longestPacket(of address: IPAddress) -> Int {
        address.isV4 ? linkMTU : min(linkMTU, ipv6.mtu)
    }

    // MARK: Next hop

    @inline(__always) func isLastHop(_ destination: IPAddress) -> Bool {
        destination.low == lastDestination.low && lastGeneration == arp.generation
            && (!Features.ipv6 || destination.high == lastDestination.high)
    }

    /// The hardware address that a packet to `destination` goes to; nil if there is none yet or
    /// none at all, which `findHop` then tells apart.
    @inline(__always) mutating func hardware(for destination: IPAddress) -> UInt64? {
        guard isLastHop(destination) else { return nil }
        lastWasUsed = true
        return lastHardware
    }

    /// The long way: route, neighbour, and a request if the neighbour is unknown.
    @inline(never) mutating func findHop(to destination: IPAddress) -> Hop {
        if Features.ipv6, destination.v4 == nil { return findHopIPv6(to: destination) }
        guard let destination = destination.v4 else { return .unreachable }
        switch Route.find(to: destination, configuration: configuration) {
        case .loopback:
            return .loopback
        case .unreachable:
            statistics.droppedUnreachable &+= 1
            return .unreachable
        case .group(let hardware):
            return .hardware(hardware)
        case .link(let neighbour):
            let found = arp.resolve(neighbour, isGateway: neighbour != destination, now: now)
            otherDeadline = min(otherDeadline, arp.nextDeadline)
            switch found {
            case .known(let hardware):
                remember(IPAddress(destination), by: IPAddress(neighbour), hardware)
                return .hardware(hardware)
            case .request:
                requestHardware(of: neighbour, from: nil)
                return .waits(IPAddress(neighbour))
            case .pending:
                return .waits(IPAddress(neighbour))
            case .refused:
                return .busy
            }
        }
    }

    /// Keeps the answer for the packets that follow.
    mutating func remember(
        _ destination: IPAddress, by neighbour: IPAddress, _ hardware: UInt64
    ) {
        noteLastHopUse()
        lastDestination = destination
        lastNextHop = neighbour
        lastHardware = hardware
        lastGeneration = arp.generation
    }

    /// What was remembered may hold no longer.
    mutating func forgetLastHop() {
        lastDestination = .unspecified
        lastGeneration = 0
    }

    /// Tells the ARP cache that the remembered neighbour is in use, before that is forgotten. IPv6's
    /// has itself asked for again when an answer grows old.
    mutating func noteLastHopUse() {
        if lastWasUsed, let neighbour = lastNextHop.v4 { arp.markUsed(neighbour) }
        lastWasUsed = false
    }

    /// Sends an ARP request; to one station alone if its address is only to be confirmed.
    mutating func requestHardware(of neighbour: IPv4Address, from known: UInt64?) {
        guard let configuration else { return }
        let packet = ARPPacket(
            .request, senderHardware: hardwareAddress, sender: configuration.address,
            targetHardware: 0, target: neighbour)
        sendARP(packet, to: known ?? Ethernet.broadcast)
    }

    /// Sends an ARP packet. If the card has no room it is lost, as any frame may be.
    mutating func sendARP(_ packet: ARPPacket, to hardware: UInt64) {
        var octets = [UInt8](repeating: 0, count: ARPPacket.length)
        var span = octets.mutableSpan
        var bytes = span.mutableBytes
        packet.write(into: &bytes, at: 0)
        _ = sendFrame(octets, type: Ethernet.typeARP, to: hardware)
    }

    /// Sends what is there as a whole; false if the card has no room.
    @inline(never) mutating func sendFrame(
        _ packet: [UInt8], type: UInt16, to hardware: UInt64
    ) -> Bool {
        let own = hardwareAddress
        let bytes = packet.span.bytes
        let isSent = device.transmit(
            length: Ethernet.headerLength + bytes.byteCount, checksum: nil
        ) { frame in
            Ethernet.writeHeader(to: hardware, from: own, type: type, into: &frame)
            frame.copy(bytes, to: Ethernet.headerLength)
        }
        if isSent { statistics.framesSent &+= 1 }
        return isSent
    }

    // MARK: Packets of UDP and ICMP

    /// Sends one packet: `head` and then `body`, whose checksum field is zero. No protocol has a header
    /// of less than eight octets, so the head needs no storage: nothing is allocated.
    ///
    /// - Parameter waits: whether it is kept for a neighbour whose hardware address is not known yet.
    @inline(never) mutating func sendPacket(
        protocolNumber: UInt8, from source: IPAddress, to destination: IPAddress, head: UInt64,
        _ body: RawSpan, waits: Bool
    ) -> SendResult {
        identification &+= 1
        let packet = OutgoingPacket(
            protocolNumber: protocolNumber, source: source, destination: destination,
            length: 8 + body.byteCount, identification: identification,
            hopLimit: ipv6.hopLimit, head: head)
        guard packet.totalLength <= linkMTU else { return .unreachable }
        if let known = self.hardware(for: destination) {
            return transmit(packet, body, to: known)
        }
        switch findHop(to: destination) {
        case .hardware(let hardware):
            return transmit(packet, body, to: hardware)
        case .unreachable:
            return .unreachable
        case .loopback:
            guard loopback.count < Self.maximumLoopback else {
                statistics.droppedQueueFull &+= 1
                return .busy
            }
            loopback.append(packet.bytes(body))
            otherDeadline = Instant(nanoseconds: 0)
            return .sent
        case .busy:
            statistics.droppedQueueFull &+= 1
            return .busy
        case .waits(let neighbour):
            return waits && keepWaiting(packet.bytes(body), for: neighbour) ? .waiting : .busy
        }
    }

    /// Keeps a packet for a neighbour; false if too many wait. Of small ones, as a segment without data
    /// is, more may.
    mutating func keepWaiting(_ packet: [UInt8], for neighbour: IPAddress) -> Bool {
        let isSmall = packet.count <= IPv6Header.length + TCPHeader.longest
        guard waiting.count < (isSmall ? Self.maximumWaitingSmall : Self.maximumWaiting) else {
            statistics.droppedQueueFull &+= 1
            return false
        }
        waiting.append(WaitingPacket(neighbour: neighbour, bytes: packet))
        return true
    }

    @inline(never) private mutating func transmit(
        _ packet: OutgoingPacket, _ body: RawSpan, to hardware: UInt64
    ) -> SendResult {
        let own = hardwareAddress
        let length = Ethernet.headerLength + packet.totalLength
        let isSent = device.transmit(length: length, checksum: nil) { frame in
            Ethernet.writeHeader(to: hardware, from: own, type: packet.type, into: &frame)
            var rest = frame._mutatingExtracting(Ethernet.headerLength..<length)
            packet.write(body, into: &rest)
        }
        guard isSent else { return .busy }
        statistics.framesSent &+= 1
        return .sent
    }

    /// Sends the packets that waited for `neighbour`, whose address is now known.
    mutating func sendWaiting(for neighbour: IPAddress, hardware: UInt64) {
        let type = neighbour.isV4 ? Ethernet.typeIPv4 : Ethernet.typeIPv6
        for index in waiting.indices where waiting[index].neighbour == neighbour {
            if !sendFrame(waiting[index].bytes, type: type, to: hardware) {
                statistics.droppedQueueFull &+= 1
            }
        }
        forgetWaiting(for: neighbour)
    }

    /// Forgets what waits for `neighbour`; nil: for any of IPv4's.
    @inline(never) private mutating func forgetWaiting(for neighbour: IPAddress?) {
        var kept: [WaitingPacket] = []
        for index in waiting.indices {
            let other = waiting[index].neighbour
            let isMeant = neighbour.map { $0 == other } ?? other.isV4
            if !isMeant { kept.append(waiting[index]) }
        }
        waiting = kept
    }

    /// Drops the packets that waited for a neighbour that does not answer.
    mutating func dropWaiting(for neighbour: IPAddress) {
        let before = waiting.count
        forgetWaiting(for: neighbour)
        statistics.droppedUnreachable &+= UInt64(before - waiting.count)
    }

    // MARK: Packets to ourselves

    var hasLoopback: Bool { !loopback.isEmpty }

    /// The packets that were sent to ourselves since the last call.
    mutating func takeLoopback() -> [[UInt8]] {
        var packets: [[UInt8]] = []
        swap(&packets, &loopback)
        return packets
    }

    /// Takes a new address, or none: nothing learnt under the old one holds any longer.
    mutating func configure(_ configuration: IPv4Configuration?) {
        self.configuration = configuration
        directedBroadcast = configuration?.network.broadcast ?? .any
        arp.removeAll()
        forgetWaiting(for: nil)
    }
}

/// A packet that waits until its neighbour's hardware address is known.
struct WaitingPacket {
    var neighbour: IPAddress
    var bytes: [UInt8]
}
