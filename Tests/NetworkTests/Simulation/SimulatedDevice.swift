// A network card whose wire is an array: what was sent, with the checksum offload done as hardware would.

import SwiftletNetwork

struct SimulatedDevice: NetworkDevice, ~Copyable {
    let hardwareAddress: UInt64
    var maximumTransmissionUnit = 1500
    var offloadsTransmitChecksum = false
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
        precondition(length >= 14 && length <= maximumTransmissionUnit + 14, "frame length")
        precondition(checksum == nil || offloadsTransmitChecksum, "no offload was offered")
        guard sent.count < capacity else { return false }
        // What the card's memory holds is not zero.
        var frame = [UInt8](repeating: 0xA5, count: length)
        do {
            var span = frame.mutableSpan
            var bytes = span.mutableBytes
            fill(&bytes)
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

    /// Takes what was sent off the card.
    mutating func collect() -> [[UInt8]] {
        var frames: [[UInt8]] = []
        swap(&frames, &sent)
        return frames
    }
}
