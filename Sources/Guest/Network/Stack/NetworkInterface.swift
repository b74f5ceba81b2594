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

/// The link side of a stack: card, addresses, ARP, the way out.
public struct NetworkInterface<Device: NetworkDevice & ~Copyable>: ~Copyable {
    /// The card. Whoever polls it for received frames reaches it here.
    public var device: Device
    /// Counts of this interface and of the stack above it.
    public internal(set) var statistics = NetworkStatistics()
    /// The address in use; nil before DHCP has one.
    public internal(set) var configuration: IPv4Configuration?

    /// The directed broadcast address: no host's, so no source. Zero: there is none.
    private(set) var directedBroadcast = IPv4Address.any

    let hardwareAddress: UInt64
    /// The card's own word: asked once, as it cannot change.
    let linkMTU: Int
    let offloadsChecksum: Bool
    let longestSegmentedPacket: Int

    var arp = ARPCache()
    var pathMTU = PathMTUCache()
    /// The time of the call that the stack is in: output has no other way to know.
    var now = Instant(nanoseconds: 0)

    /// The last destination that was resolved, so that a stream of packets looks nothing up.
    private var lastDestination = IPv4Address.any
    private var lastNextHop = IPv4Address.any
    private var lastHardware: UInt64 = 0
    private var lastGeneration: UInt32 = 0
    private var lastWasUsed = false

    private var identification: UInt16
    /// Packets that wait for ARP (RFC 1122 §2.3.2.2), and packets to ourselves.
    private var waiting: [WaitingPacket] = []
    private var loopback: [[UInt8]] = []

    static var maximumWaiting: Int { 16 }
    /// The same of segments without data: a crowd that meets a server just started is answered.
    static var maximumWaitingSmall: Int { 256 }
    static var maximumLoopback: Int { 256 }

    init(device: consuming Device, secret: UInt64) {
        hardwareAddress = device.hardwareAddress
        linkMTU = min(device.maximumTransmissionUnit, 65_535)
        offloadsChecksum = device.offloadsTransmitChecksum
        longestSegmentedPacket = offloadsChecksum ? min(device.longestSegmentedPacket, 65_535) : 0
        self.device = device
        identification = UInt16(truncatingIfNeeded: secret)
    }

    /// The address that packets to `destination` are sent from.
    func sourceAddress(for destination: IPv4Address) -> IPv4Address? {
        destination.isLoopback ? destination : configuration?.address
    }

    /// The longest packet towards `destination`.
    @inline(__always) func mtu(to destination: IPv4Address) -> Int {
        pathMTU.isEmpty ? linkMTU : pathMTU.mtu(to: destination, link: linkMTU, now: now)
    }

    // MARK: Next hop

    @inline(__always) func isLastHop(_ destination: IPv4Address) -> Bool {
        destination == lastDestination && lastGeneration == arp.generation
    }

    /// The hardware address that a packet to `destination` goes to; nil if there is none yet or
    /// none at all, which `hopMiss` then tells apart.
    @inline(__always) mutating func hardware(for destination: IPv4Address) -> UInt64? {
        guard isLastHop(destination) else { return nil }
        lastWasUsed = true
        return lastHardware
    }

    enum Hop {
        case hardware(UInt64)
        case loopback
        case waits(IPv4Address)
        case unreachable
    }

    /// The long way: route, neighbour, and a request if the neighbour is unknown.
    @inline(never) mutating func findHop(to destination: IPv4Address) -> Hop {
        switch Route.find(to: destination, configuration: configuration) {
        case .loopback:
            return .loopback
        case .unreachable:
            statistics.droppedUnreachable &+= 1
            return .unreachable
        case .group(let hardware):
            return .hardware(hardware)
        case .link(let neighbour):
            switch arp.resolve(neighbour, now: now) {
            case .known(let hardware):
                noteLastHopUse()
                lastDestination = destination
                lastNextHop = neighbour
                lastHardware = hardware
                lastGeneration = arp.generation
                return .hardware(hardware)
            case .request:
                requestHardware(of: neighbour, from: nil)
                return .waits(neighbour)
            case .pending:
                return .waits(neighbour)
            }
        }
    }

    /// Tells the ARP cache that the remembered neighbour is in use, before that is forgotten.
    mutating func noteLastHopUse() {
        if lastWasUsed { arp.markUsed(lastNextHop) }
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
        let source = hardwareAddress
        let isSent = device.transmit(
            length: Ethernet.headerLength + ARPPacket.length, checksum: nil
        ) { frame in
            Ethernet.writeHeader(to: hardware, from: source, type: Ethernet.typeARP, into: &frame)
            packet.write(into: &frame, at: Ethernet.headerLength)
        }
        if isSent { statistics.framesSent &+= 1 }
    }

    // MARK: Packets of UDP and ICMP

    /// Sends one packet of `length` octets of payload, written by `fill`.
    ///
    /// - Parameters:
    ///   - checksumOffset: where in the payload the checksum field of UDP or TCP stands; its
    ///     pseudo-header is added here. Nil: `fill` has written what checksum there is.
    ///   - waits: whether it is kept for a neighbour whose hardware address is not known yet.
    mutating func sendPacket(
        protocolNumber: UInt8, from source: IPv4Address, to destination: IPv4Address,
        length: Int, checksumOffset: Int?, waits: Bool = true, fill: (inout MutableRawSpan) -> Void
    ) -> SendResult {
        guard length + IPv4Header.length <= linkMTU else { return .unreachable }
        identification &+= 1
        let packet = OutgoingPacket(
            protocolNumber: protocolNumber, source: source, destination: destination,
            length: length, checksumOffset: checksumOffset, identification: identification)
        if let hardware = hardware(for: destination) {
            return transmit(packet, to: hardware, fill)
        }
        switch findHop(to: destination) {
        case .hardware(let hardware):
            return transmit(packet, to: hardware, fill)
        case .unreachable:
            return .unreachable
        case .loopback:
            guard queueLoopback(packet, fill) else {
                statistics.droppedQueueFull &+= 1
                return .busy
            }
            return .sent
        case .waits(let neighbour):
            return waits && queueWaiting(packet, for: neighbour, fill) ? .waiting : .busy
        }
    }

    /// Queues a packet until its neighbour's hardware address is known; false if too many wait.
    mutating func queueWaiting(
        _ packet: OutgoingPacket, for neighbour: IPv4Address,
        _ fill: (inout MutableRawSpan) -> Void
    ) -> Bool {
        let isSmall = packet.length <= TCPHeader.longest
        guard waiting.count < (isSmall ? Self.maximumWaitingSmall : Self.maximumWaiting) else {
            statistics.droppedQueueFull &+= 1
            return false
        }
        waiting.append(WaitingPacket(neighbour: neighbour, bytes: packet.bytes(fill)))
        return true
    }

    private mutating func transmit(
        _ packet: OutgoingPacket, to hardware: UInt64, _ fill: (inout MutableRawSpan) -> Void
    ) -> SendResult {
        let own = hardwareAddress
        let length = Ethernet.headerLength + IPv4Header.length + packet.length
        let isSent = device.transmit(length: length, checksum: nil) { frame in
            Ethernet.writeHeader(to: hardware, from: own, type: Ethernet.typeIPv4, into: &frame)
            var rest = frame._mutatingExtracting(Ethernet.headerLength..<length)
            packet.write(into: &rest, fill)
        }
        guard isSent else { return .busy }
        statistics.framesSent &+= 1
        return .sent
    }

    /// Sends the packets that waited for `neighbour`, whose address is now known.
    mutating func sendWaiting(for neighbour: IPv4Address, hardware: UInt64) {
        let own = hardwareAddress
        for index in waiting.indices where waiting[index].neighbour == neighbour {
            let packet = waiting[index].bytes
            let length = Ethernet.headerLength + packet.count
            let bytes = packet.span.bytes
            let isSent = device.transmit(length: length, checksum: nil) { frame in
                Ethernet.writeHeader(
                    to: hardware, from: own, type: Ethernet.typeIPv4, into: &frame)
                frame.copy(bytes, to: Ethernet.headerLength)
            }
            if isSent {
                statistics.framesSent &+= 1
            } else {
                statistics.droppedQueueFull &+= 1
            }
        }
        forgetWaiting(for: neighbour)
    }

    @inline(never) private mutating func forgetWaiting(for neighbour: IPv4Address) {
        var kept: [WaitingPacket] = []
        for index in waiting.indices where waiting[index].neighbour != neighbour {
            kept.append(waiting[index])
        }
        waiting = kept
    }

    /// Drops the packets that waited for a neighbour that does not answer.
    mutating func dropWaiting(for neighbour: IPv4Address) {
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

    /// Queues a packet to ourselves; false if too many wait already.
    mutating func queueLoopback(
        _ packet: OutgoingPacket, _ fill: (inout MutableRawSpan) -> Void
    ) -> Bool {
        guard loopback.count < Self.maximumLoopback else { return false }
        loopback.append(packet.bytes(fill))
        return true
    }

    /// Takes a new address, or none: nothing learnt under the old one holds any longer.
    mutating func configure(_ configuration: IPv4Configuration?) {
        self.configuration = configuration
        directedBroadcast = configuration?.network.broadcast ?? .any
        arp.removeAll()
        waiting = []
    }
}

/// A packet that waits until its neighbour's hardware address is known.
struct WaitingPacket {
    var neighbour: IPv4Address
    var bytes: [UInt8]
}

/// What is known of an outgoing packet before its payload is written.
struct OutgoingPacket {
    var protocolNumber: UInt8
    var source: IPv4Address
    var destination: IPv4Address
    var length: Int
    var checksumOffset: Int?
    var identification: UInt16

    /// Writes header, payload and checksum to a span of just the right length.
    ///
    /// What surrounds `fill` are functions of their own: the compiler makes a copy of this one for
    /// each closure.
    @_lifetime(bytes: copy bytes)
    func write(into bytes: inout MutableRawSpan, _ fill: (inout MutableRawSpan) -> Void) {
        writeHeader(into: &bytes)
        var payload = bytes._mutatingExtracting(IPv4Header.length..<IPv4Header.length + length)
        fill(&payload)
        if checksumOffset != nil { writeChecksum(into: &payload) }
    }

    @inline(never) @_lifetime(bytes: copy bytes)
    private func writeHeader(into bytes: inout MutableRawSpan) {
        IPv4Header.write(
            into: &bytes, at: 0, totalLength: IPv4Header.length + length,
            protocolNumber: protocolNumber, from: source, to: destination,
            identification: identification, fragment: 0)
    }

    @inline(never) @_lifetime(payload: copy payload)
    private func writeChecksum(into payload: inout MutableRawSpan) {
        guard let checksumOffset else { return }
        var sum = InternetChecksum()
        sum.addPseudoHeader(
            from: source, to: destination, protocol: protocolNumber, length: length)
        sum.add(payload.bytes)
        // UDP sends a sum of zero as its other form: zero means "none" (RFC 768).
        payload.store(sum.checksum == 0 ? 0xFFFF : sum.checksum, at: checksumOffset)
    }

    /// The packet in storage of its own.
    func bytes(_ fill: (inout MutableRawSpan) -> Void) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: IPv4Header.length + length)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        write(into: &raw, fill)
        return bytes
    }
}
