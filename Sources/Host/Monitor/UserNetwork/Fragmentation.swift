// Datagrams that are longer than a frame, in pieces (RFC 791 §3.2, RFC 8200 §4.5).

import Glibc

/// How a datagram to the guest is cut.
struct Fragmentation {
    /// Octets of an IP packet on Ethernet.
    private static let packetSize = 1500
    private static let fragmentHeaderSize = 8

    private let key: FlowKey
    private let length: Int
    /// Octets of a piece, a multiple of 8.
    let size: Int
    /// Octets of a frame before a piece.
    let before: Int

    /// - Parameter length: octets of the datagram, with UDP's header.
    init(_ key: FlowKey, _ length: Int) {
        (self.key, self.length) = (key, length)
        let header = GuestPacket.headerSize(key.guest)
        let room = Self.packetSize + GuestPacket.ethernetSize - header
        guard length > room, !key.guest.isV4 else {
            before = header
            size = length > room ? room & ~7 : room
            return
        }
        before = header + Self.fragmentHeaderSize
        size = (room - Self.fragmentHeaderSize) & ~7
    }

    /// Octets that the pieces take besides their own, with their lengths on the link.
    var overhead: Int { (length + size - 1) / size * (before + 4) }

    /// Writes the headers before the piece of `length` octets at `offset`.
    func write(
        _ frame: UnsafeMutableRawPointer, _ headers: FrameHeaders, _ identification: UInt16,
        offset: Int, length piece: Int
    ) {
        let (source, isLast) = (key.remote.address, offset + piece == length)
        if let source = source.v4 {
            return headers.ipv4(
                frame, from: source, protocolNumber: UInt8(IPPROTO_UDP), length: piece,
                identification: identification,
                fragment: (isLast ? 0 : 0x2000) | UInt16(offset / 8))
        }
        guard piece < length else {
            return headers.packet(
                frame, from: source, to: key.guest, protocolNumber: UInt8(IPPROTO_UDP),
                length: piece)
        }
        headers.packet(
            frame, from: source, to: key.guest, protocolNumber: UInt8(IPPROTO_FRAGMENT),
            length: piece + Self.fragmentHeaderSize)
        let header = frame + (before - Self.fragmentHeaderSize)
        header.store16(UInt16(IPPROTO_UDP) << 8, 0)
        header.store16(UInt16(offset) | (isLast ? 0 : 1), 2)
        header.store32(UInt32(identification), 4)
    }
}
