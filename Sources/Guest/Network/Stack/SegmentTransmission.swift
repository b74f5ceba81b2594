// TCP's way out: a segment is written once, in the card's own buffer, behind its headers.

extension NetworkInterface: SegmentOutput where Device: ~Copyable {
    /// Octets of frame before a segment over IPv4.
    private static var headersLength: Int { Ethernet.headerLength + IPv4Header.length }
    /// Where TCP's checksum field stands in the segment (RFC 9293 §3.1).
    private static var checksumOffset: Int { 16 }

    /// Sends one TCP segment to a neighbour whose hardware address is known, or for whom a gateway
    /// stands whose address is. Both addresses are of one version.
    ///
    /// Inlined into its one caller, `fill` with it: from the control block to the card's descriptor
    /// is one function. Hence the other way for all that is unusual.
    @inline(__always)
    public mutating func sendSegment(
        from: IPAddress, to: IPAddress, length: Int, segmentSize: Int, marks: Bool,
        fill: (inout MutableRawSpan) -> Void
    ) -> SegmentResult {
        guard to.isV4, length <= linkMTU &- IPv4Header.length || segmentSize > 0 else {
            return .indirect
        }
        let hardware: UInt64
        if let known = self.hardware(for: to) {
            hardware = known
        } else if case .hardware(let found) = findHop(to: to) {
            hardware = found
        } else {
            return .indirect
        }
        return transmitSegment(
            from: IPv4Address(bits: UInt32(truncatingIfNeeded: from.low)),
            to: IPv4Address(bits: UInt32(truncatingIfNeeded: to.low)), hardware: hardware,
            length: length, segmentSize: segmentSize, marks, fill)
            ? .sent : .busy
    }

    /// The same over IPv6. Apart, although it repeats what `fill` does: with headers of either length
    /// in one function, or a call between, a segment over IPv4 takes thirty to fifty instructions more.
    @inline(__always)
    public mutating func sendSegmentIPv6(
        from source: IPAddress, to destination: IPAddress, length: Int, segmentSize: Int,
        marks: Bool, fill: (inout MutableRawSpan) -> Void
    ) -> SegmentResult {
        guard Features.ipv6, !destination.isV4,
            length <= linkMTU &- IPv6Header.length || segmentSize > 0
        else { return .indirect }
        let hardware: UInt64
        if let known = self.hardware(for: destination) {
            hardware = known
        } else if case .hardware(let found) = findHopIPv6(to: destination) {
            hardware = found
        } else {
            return .indirect
        }
        let own = hardwareAddress
        let offloads = offloadsChecksum
        let hopLimit = ipv6.hopLimit
        let headers = Ethernet.headerLength + IPv6Header.length
        let request =
            offloads
            ? ChecksumRequest(
                start: UInt16(headers), offset: UInt16(Self.checksumOffset),
                segmentSize: UInt16(truncatingIfNeeded: segmentSize),
                headerLength: UInt16(headers + TCPHeader.minimumLength), isIPv6: true) : nil
        let isSent = device.transmit(length: headers &+ length, checksum: request) { frame in
            guard frame.byteCount >= headers &+ TCPHeader.minimumLength else { return }
            Ethernet.writeHeader(to: hardware, from: own, type: Ethernet.typeIPv6, into: &frame)
            IPv6Header.write(
                into: &frame, at: Ethernet.headerLength, payloadLength: length,
                nextHeader: IPProtocol.tcp, from: source, to: destination, hopLimit: hopLimit,
                service: marks ? IPv4Header.capableOfMarks : 0)
            var segment = frame._mutatingExtracting(headers..<frame.byteCount)
            fill(&segment)
            // The pseudo-header (RFC 8200 §8.1), which for the card's sake is not complemented.
            var sum = InternetChecksum()
            sum.addPseudoHeader(
                from: source, to: destination, protocol: IPProtocol.tcp, length: length)
            let pseudo = sum.folded
            segment.store(
                offloads ? pseudo : Self.checksum(of: segment.bytes, pseudo),
                at: Self.checksumOffset)
        }
        if isSent { statistics.framesSent &+= 1 }
        return isSent ? .sent : .busy
    }

    /// Only towards the neighbour that was sent to last, so that such a segment is never `indirect`.
    public func longestBurst(to: IPAddress) -> Int {
        guard isLastHop(to) else { return 0 }
        if to.isV4 { return max(longestSegmentedPacket &- IPv4Header.length, 0) }
        return max(longestSegmentedPacketIPv6 &- IPv6Header.length, 0)
    }

    /// Sends any TCP segment. False if the card has no room or the neighbour's hardware address is
    /// not known yet: TCP tries again a little later. A segment that no route leads to is dropped,
    /// as the network would: TCP's timers find out.
    ///
    /// Of segments to a neighbour whose hardware address is not known only those without data are
    /// kept (RFC 1122 §2.3.2.2 asks for one): a SYN's answer is not lost, and data stays with TCP.
    @inline(never)
    public mutating func sendSegment(
        from: IPAddress, to: IPAddress, _ segment: RawSpan
    ) -> Bool {
        sendPacket(
            protocolNumber: IPProtocol.tcp, from: from, to: to, head: segment.number64(at: 0),
            segment.extracting(8..<segment.byteCount),
            waits: segment.byteCount <= TCPHeader.longest) != .busy
    }

    public func maximumSegment(to: IPAddress) -> Int {
        mtu(to: to) - (to.isV4 ? IPv4Header.length : IPv6Header.length)
    }

    public func maximumReceived(from: IPAddress) -> Int {
        longestPacket(of: from) - (from.isV4 ? IPv4Header.length : IPv6Header.length)
    }

    @inline(__always) private mutating func transmitSegment(
        from source: IPv4Address, to destination: IPv4Address, hardware: UInt64, length: Int,
        segmentSize: Int, _ marks: Bool, _ fill: (inout MutableRawSpan) -> Void
    ) -> Bool {
        let own = hardwareAddress
        let offloads = offloadsChecksum
        let frameLength = Self.headersLength &+ length
        let request =
            offloads
            ? ChecksumRequest(
                start: UInt16(Self.headersLength), offset: UInt16(Self.checksumOffset),
                segmentSize: UInt16(truncatingIfNeeded: segmentSize),
                headerLength: UInt16(Self.headersLength &+ TCPHeader.minimumLength)) : nil
        let isSent = device.transmit(length: frameLength, checksum: request) { frame in
            // One check here, and the compiler needs none at each store below.
            guard frame.byteCount >= Self.headersLength &+ TCPHeader.minimumLength else { return }
            Ethernet.writeHeader(to: hardware, from: own, type: Ethernet.typeIPv4, into: &frame)
            // Never fragmented on the way (RFC 1191), so the identification means nothing
            // (RFC 6864 §4.1).
            IPv4Header.write(
                into: &frame, at: Ethernet.headerLength, totalLength: IPv4Header.length &+ length,
                protocolNumber: IPProtocol.tcp, from: source, to: destination,
                service: marks ? IPv4Header.capableOfMarks : 0, fragment: 0x4000)
            var segment = frame._mutatingExtracting(Self.headersLength..<frame.byteCount)
            fill(&segment)
            // The pseudo-header (RFC 9293 §3.1), which for the card's sake is not complemented.
            var sum = UInt64(source.bits) &+ UInt64(destination.bits)
            sum = sum &+ UInt64(IPProtocol.tcp) &+ UInt64(truncatingIfNeeded: length)
            sum = (sum >> 16) &+ (sum & 0xFFFF)
            sum = (sum >> 16) &+ (sum & 0xFFFF)
            sum = (sum >> 16) &+ (sum & 0xFFFF)
            let pseudo = UInt16(truncatingIfNeeded: sum)
            segment.store(
                offloads ? pseudo : Self.checksum(of: segment.bytes, pseudo),
                at: Self.checksumOffset)
        }
        if isSent { statistics.framesSent &+= 1 }
        return isSent
    }

    @inline(never) private static func checksum(of segment: RawSpan, _ pseudo: UInt16) -> UInt16 {
        var sum = InternetChecksum()
        sum.add(pseudo)
        sum.add(segment)
        return sum.checksum
    }
}
