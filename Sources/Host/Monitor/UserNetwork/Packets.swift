// What crosses the user network, as octets: Ethernet II (RFC 894), ARP (RFC 826), IPv4 (RFC 791), IPv6
// (RFC 8200), TCP (RFC 9293) and UDP (RFC 768) headers. The link between the two processes loses and breaks
// nothing, so checksums are written for the guest and not verified here.

import Glibc

enum TCPFlag {
    static let fin: UInt8 = 1
    static let syn: UInt8 = 2
    static let reset: UInt8 = 4
    static let push: UInt8 = 8
    static let acknowledge: UInt8 = 16
}

/// A packet of the guest's, with its lengths checked.
struct GuestPacket {
    static let ethernetSize = 14
    static let ipv4Size = 20
    static let ipv6Size = 40
    static let tcpSize = 20
    static let udpSize = 8

    var protocolNumber: UInt8
    var hopLimit: UInt8
    var source: NetworkAddress
    var destination: NetworkAddress
    var payload: UnsafeRawBufferPointer

    /// Octets before what IP carries, in a frame to `guest`.
    static func headerSize(_ guest: NetworkAddress) -> Int {
        ethernetSize + (guest.isV4 ? ipv4Size : ipv6Size)
    }

    /// Nil if the frame holds no whole packet.
    init?(_ frame: UnsafeRawBufferPointer) {
        guard frame.count >= Self.ethernetSize + Self.ipv4Size else { return nil }
        let packet = UnsafeRawBufferPointer(rebasing: frame[Self.ethernetSize...])
        switch frame.word16(12) {
        case 0x0800: self.init(ipv4: packet)
        case 0x86DD: self.init(ipv6: packet)
        default: return nil
        }
    }

    /// At least a header without options is there.
    private init?(ipv4 packet: UnsafeRawBufferPointer) {
        let headerSize = Int(packet[0] & 15) * 4
        let length = Int(packet.word16(2))
        // A fragment's flags and offset are not zero, but for "don't fragment".
        guard packet[0] >> 4 == 4, headerSize >= Self.ipv4Size, length >= headerSize,
            length <= packet.count, packet.word16(6) & 0xBFFF == 0
        else { return nil }
        protocolNumber = packet[9]
        hopLimit = packet[8]
        source = NetworkAddress(packet.word32(12))
        destination = NetworkAddress(packet.word32(16))
        payload = UnsafeRawBufferPointer(rebasing: packet[headerSize..<length])
    }

    /// Extension headers are not looked behind: nothing that is served here has any.
    private init?(ipv6 packet: UnsafeRawBufferPointer) {
        guard packet.count >= Self.ipv6Size, packet[0] >> 4 == 6 else { return nil }
        let length = Self.ipv6Size + Int(packet.word16(4))
        guard length <= packet.count else { return nil }
        protocolNumber = packet[6]
        hopLimit = packet[7]
        source = NetworkAddress(packet, 8)
        destination = NetworkAddress(packet, 24)
        // A mapped address belongs into no packet.
        guard !source.isV4, !destination.isV4 else { return nil }
        payload = UnsafeRawBufferPointer(rebasing: packet[Self.ipv6Size..<length])
    }
}

/// A TCP segment of the guest's.
struct GuestSegment {
    var sourcePort: UInt16
    var destinationPort: UInt16
    var sequence: UInt32
    var acknowledgement: UInt32
    var flags: UInt8
    var window: UInt16
    /// What the maximum segment size option says.
    var segmentSize: UInt16?
    var payload: UnsafeRawBufferPointer

    init?(_ octets: UnsafeRawBufferPointer) {
        guard octets.count >= GuestPacket.tcpSize else { return nil }
        let headerSize = Int(octets[12] >> 4) * 4
        guard headerSize >= GuestPacket.tcpSize, headerSize <= octets.count else { return nil }
        sourcePort = octets.word16(0)
        destinationPort = octets.word16(2)
        sequence = octets.word32(4)
        acknowledgement = octets.word32(8)
        flags = octets[13]
        window = octets.word16(14)
        payload = UnsafeRawBufferPointer(rebasing: octets[headerSize...])
        guard flags & TCPFlag.syn != 0 else { return }
        var place = GuestPacket.tcpSize
        while place < headerSize, octets[place] != 0 {
            if octets[place] == 1 {
                place += 1
                continue
            }
            guard place + 1 < headerSize, octets[place + 1] >= 2,
                place + Int(octets[place + 1]) <= headerSize
            else { return }
            if octets[place] == 2, octets[place + 1] == 4 { segmentSize = octets.word16(place + 2) }
            place += Int(octets[place + 1])
        }
    }

    /// How far it moves the sequence on.
    var length: UInt32 {
        UInt32(payload.count) + (flags & TCPFlag.syn != 0 ? 1 : 0)
            + (flags & TCPFlag.fin != 0 ? 1 : 0)
    }
}

extension UnsafeRawBufferPointer {
    func word16(_ offset: Int) -> UInt16 {
        UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    func word32(_ offset: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}

extension UnsafeMutableRawPointer {
    func store16(_ value: UInt16, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    func store32(_ value: UInt32, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    func store(_ value: NetworkAddress, _ offset: Int) {
        storeBytes(of: value.high.bigEndian, toByteOffset: offset, as: UInt64.self)
        storeBytes(of: value.low.bigEndian, toByteOffset: offset + 8, as: UInt64.self)
    }
}

/// The internet checksum (RFC 1071), summed in the host's order: the octets come out right.
enum Checksum {
    static func sum(_ octets: UnsafeRawPointer, _ count: Int, _ start: UInt64 = 0) -> UInt64 {
        var total = start
        var place = 0
        while place &+ 8 <= count {
            add(octets.loadUnaligned(fromByteOffset: place, as: UInt64.self), &total)
            place &+= 8
        }
        if place < count {
            var rest: UInt64 = 0
            withUnsafeMutableBytes(of: &rest) {
                $0.baseAddress!.copyMemory(from: octets + place, byteCount: count - place)
            }
            add(rest, &total)
        }
        return total
    }

    @inline(__always) static func add(_ value: UInt64, _ total: inout UInt64) {
        total = total &+ value
        if total < value { total &+= 1 }
    }

    static func finish(_ total: UInt64) -> UInt16 {
        var sum = (total & 0xFFFF_FFFF) + total >> 32
        while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
        return ~UInt16(truncatingIfNeeded: sum)
    }

    /// The sum of the pseudo-header that TCP, UDP and ICMPv6 put before themselves. It is one for both
    /// versions: what mapped addresses have in front adds nothing, as 0xFFFF is zero here.
    static func pseudoHeader(
        _ source: NetworkAddress, _ destination: NetworkAddress, _ protocolNumber: UInt8,
        _ length: Int
    ) -> UInt64 {
        var total =
            UInt64(UInt16(protocolNumber).bigEndian)
            + UInt64(UInt16(truncatingIfNeeded: length).bigEndian)
        add(source.high.bigEndian, &total)
        add(source.low.bigEndian, &total)
        add(destination.high.bigEndian, &total)
        add(destination.low.bigEndian, &total)
        return total
    }
}

/// Writes headers of frames to the guest.
struct FrameHeaders {
    /// The guest's card's address, six octets, and that of the host's end.
    let guest: [UInt8]

    /// - Parameter target: the guest's, or a group's, which has six octets, too.
    func ethernet(
        _ frame: UnsafeMutableRawPointer, type: UInt16, to target: [UInt8]? = nil
    ) {
        let target = target ?? guest
        for index in 0..<6 {
            frame.storeBytes(of: target[index], toByteOffset: index, as: UInt8.self)
            frame.storeBytes(
                of: UserNetworkAddress.hardware[index], toByteOffset: 6 + index, as: UInt8.self)
        }
        frame.store16(type, 12)
    }

    /// The headers of a packet that is no fragment, before `length` octets.
    func packet(
        _ frame: UnsafeMutableRawPointer, from source: NetworkAddress, to guest: NetworkAddress,
        protocolNumber: UInt8, length: Int
    ) {
        if let source = source.v4 {
            ipv4(frame, from: source, protocolNumber: protocolNumber, length: length)
        } else {
            ethernet(frame, type: 0x86DD)
            ipv6(
                frame + GuestPacket.ethernetSize, from: source, to: guest,
                protocolNumber: protocolNumber, length: length, hopLimit: 64)
        }
    }

    /// RFC 8200 §3.
    func ipv6(
        _ packet: UnsafeMutableRawPointer, from source: NetworkAddress, to guest: NetworkAddress,
        protocolNumber: UInt8, length: Int, hopLimit: UInt8
    ) {
        packet.store32(6 << 28, 0)
        packet.store16(UInt16(length), 4)
        packet.store16(UInt16(protocolNumber) << 8 | UInt16(hopLimit), 6)
        packet.store(source, 8)
        packet.store(guest, 24)
    }

    /// - Parameter fragment: the header's flags and offset; 0x4000 is "don't fragment".
    func ipv4(
        _ frame: UnsafeMutableRawPointer, from source: UInt32, protocolNumber: UInt8, length: Int,
        identification: UInt16 = 0, fragment: UInt16 = 0x4000
    ) {
        ethernet(frame, type: 0x0800)
        let packet = frame + GuestPacket.ethernetSize
        packet.store16(0x4500, 0)
        packet.store16(UInt16(GuestPacket.ipv4Size + length), 2)
        packet.store16(identification, 4)
        packet.store16(fragment, 6)
        packet.store16(64 << 8 | UInt16(protocolNumber), 8)
        packet.store16(0, 10)
        packet.store32(source, 12)
        packet.store32(UserNetworkAddress.guest, 16)
        let checksum = Checksum.finish(Checksum.sum(packet, GuestPacket.ipv4Size))
        packet.storeBytes(of: checksum, toByteOffset: 10, as: UInt16.self)
    }

    /// The answer to an ARP request for any address but the guest's own; nil if it is none.
    func arpReply(to frame: UnsafeRawBufferPointer) -> [UInt8]? {
        guard frame.count >= 42, frame.word16(12) == 0x0806, frame.word32(14) == 0x0001_0800,
            frame.word16(18) == 0x0604, frame.word16(20) == 1,
            frame.word32(38) != UserNetworkAddress.guest
        else { return nil }
        // Sender and target change places (RFC 826): hardware address, protocol address of each.
        let asked = Array(frame[38..<42])
        let sender = Array(frame[22..<32])
        return sender[..<6] + UserNetworkAddress.hardware + [8, 6, 0, 1, 8, 0, 6, 4, 0, 2]
            + UserNetworkAddress.hardware + asked + sender
    }
}
