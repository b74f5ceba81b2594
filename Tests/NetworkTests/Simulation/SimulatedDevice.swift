// A network card whose wire is an array: what was sent, with the checksum offload done as hardware would.

import SwiftletNetwork

struct SimulatedDevice: NetworkDevice, ~Copyable {
    let hardwareAddress: UInt64
    var maximumTransmissionUnit = 1500
    var offloadsTransmitChecksum = false
    /// The card cuts TCP segments of up to so many octets of IP packet.
    var longestSegmentedPacket = 0
    var longestSegmentedPacketIPv6 = 0
    /// Frames that the card takes before it is full.
    var capacity = Int.max
    /// Frames sent and not collected by the link yet.
    private(set) var sent: [[UInt8]] = []

    init(hardwareAddress: UInt64, mtu: Int = 1500, offloads: Bool = false) {
        self.hardwareAddress = hardwareAddress
        maximumTransmissionUnit = mtu
        offloadsTransmitChecksum = offloads
    }

    mutating func transmit(
        length: Int, checksum: ChecksumRequest?, fill: (inout MutableRawSpan) -> Void
    ) -> Bool {
        let segmentSize = Int(checksum?.segmentSize ?? 0)
        let longest = segmentSize > 0 ? longestSegmentedPacket : maximumTransmissionUnit
        precondition(length >= 14 && length <= longest + 14, "frame length")
        precondition(checksum == nil || offloadsTransmitChecksum, "no offload was offered")
        precondition(segmentSize == 0 || checksum?.isIPv6 == (checksum?.start == 54), "version")
        guard sent.count < capacity else { return false }
        // What the card's memory holds is not zero.
        var frame = [UInt8](repeating: 0xA5, count: length)
        do {
            var span = frame.mutableSpan
            var bytes = span.mutableBytes
            fill(&bytes)
        }
        if let checksum, segmentSize > 0 {
            sent += cut(frame, Int(checksum.start), segmentSize)
            return true
        }
        if let checksum {
            let start = Int(checksum.start)
            let sum = naiveSum(frame[start...])
            let field = start + Int(checksum.offset)
            frame[field] = UInt8(~sum >> 8)
            frame[field + 1] = UInt8(truncatingIfNeeded: ~sum)
        }
        sent.append(frame)
        return true
    }

    /// Packets with at most `size` octets of a TCP segment's payload each, and its header, which
    /// begins at `start`: the sequence number goes on, PSH and FIN are the last one's.
    private func cut(_ frame: [UInt8], _ start: Int, _ size: Int) -> [[UInt8]] {
        let headers = start + Int(frame[start + 12] >> 4) * 4
        func number(_ at: Int, _ octets: Int) -> Int {
            frame[at..<at + octets].reduce(0) { $0 << 8 | Int($1) }
        }
        // The pseudo-header's sum holds the length of the whole.
        let whole = frame.count - start
        let isIPv6 = frame[12] == 0x86
        if isIPv6 {
            precondition(number(18, 2) == frame.count - 54, "the IPv6 packet's length")
        } else {
            precondition(number(16, 2) == frame.count - 14, "the IP packet's length")
        }
        precondition(frame.count - headers > size, "nothing to cut")
        return stride(from: headers, to: frame.count, by: size).map { position in
            let end = min(position + size, frame.count)
            var packet = Array(frame[..<headers] + frame[position..<end])
            func put(_ value: Int, at: Int, _ octets: Int) {
                for index in 0..<octets {
                    packet[at + index] = UInt8(
                        truncatingIfNeeded: value >> (8 * (octets - 1 - index)))
                }
            }
            if isIPv6 {
                put(packet.count - 54, at: 18, 2)
            } else {
                put(packet.count - 14, at: 16, 2)
                put(0, at: 24, 2)
                put(Int(~naiveSum(packet[14..<start])) & 0xFFFF, at: 24, 2)
            }
            put(number(start + 4, 4) + position - headers, at: start + 4, 4)
            if end < frame.count { packet[start + 13] &= ~0x09 }
            let pseudo = number(start + 16, 2) - whole + packet.count - start
            put(pseudo & 0xFFFF + (pseudo < 0 ? -1 : 0), at: start + 16, 2)
            put(Int(~naiveSum(packet[start...])) & 0xFFFF, at: start + 16, 2)
            return packet
        }
    }

    /// Takes what was sent off the card.
    mutating func collect() -> [[UInt8]] {
        var frames: [[UInt8]] = []
        swap(&frames, &sent)
        return frames
    }
}
