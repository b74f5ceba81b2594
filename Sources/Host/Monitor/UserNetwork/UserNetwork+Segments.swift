// TCP segments to the guest, each in its frame.

import Glibc

extension UserNetwork {
    /// Sends a segment whose payload `body` writes. False if the link is full; the flow is pumped
    /// when there is room again.
    @discardableResult
    func sendSegment(
        _ key: FlowKey, sequence: UInt32, acknowledgement: UInt32, flags: UInt8, window: UInt16,
        payload: Int, _ body: (UnsafeMutableRawPointer) -> Void = { _ in }
    ) -> Bool {
        let hasOptions = flags & TCPFlag.syn != 0
        let length = GuestPacket.tcpSize + (hasOptions ? 4 : 0) + payload
        let before = GuestPacket.headerSize(key.guest)
        guard let frame = link.append(before + length) else {
            wasFull = true
            return false
        }
        headers.packet(
            frame, from: key.remote.address, to: key.guest, protocolNumber: UInt8(IPPROTO_TCP),
            length: length)
        let segment = frame + before
        segment.store16(key.remote.port, 0)
        segment.store16(key.guestPort, 2)
        segment.store32(sequence, 4)
        segment.store32(acknowledgement, 8)
        let words = UInt16(GuestPacket.tcpSize / 4 + (hasOptions ? 1 : 0))
        segment.store16(words << 12 | UInt16(flags), 12)
        segment.store16(window, 14)
        segment.store32(0, 16)
        // The one option: the longest payload that this end takes (RFC 9293 §3.7.1).
        if hasOptions { segment.store32(0x0204_0000 | UInt32(key.segmentSize), 20) }
        if payload > 0 { body(segment + Int(words) * 4) }
        let pseudo = Checksum.pseudoHeader(
            key.remote.address, key.guest, UInt8(IPPROTO_TCP), length)
        let checksum = Checksum.finish(Checksum.sum(segment, length, pseudo))
        segment.storeBytes(of: checksum, toByteOffset: 16, as: UInt16.self)
        return true
    }
}
