// The network card as the protocols want it: virtio-net behind `NetworkDevice`.

import SwiftletNetwork
import SwiftletVirtio

#if hasFeature(Embedded)
    /// A virtio network card under the stack.
    public struct VirtioLink: NetworkDevice, ~Copyable {
        public var card: VirtioNetwork

        public var hardwareAddress: UInt64 { card.hardwareAddress }
        public var maximumTransmissionUnit: Int { card.maximumTransmissionUnit }
        public var offloadsTransmitChecksum: Bool { card.offloadsTransmitChecksum }
        public var longestSegmentedPacket: Int { card.longestSegmentedPacket }
        public var longestSegmentedPacketIPv6: Int { card.longestSegmentedPacketIPv6 }

        @inline(__always)
        public mutating func transmit(
            length: Int, checksum: ChecksumRequest?, fill: (inout MutableRawSpan) -> Void
        ) -> Bool {
            card.transmit(
                length: length, checksumStart: checksum?.start ?? 0,
                checksumOffset: checksum?.offset ?? 0, needsChecksum: checksum != nil,
                segmentSize: checksum?.segmentSize ?? 0, headerLength: checksum?.headerLength ?? 0,
                isIPv6: checksum?.isIPv6 ?? false, fill: fill)
        }
    }
#endif
