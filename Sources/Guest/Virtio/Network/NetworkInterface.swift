// What virtio-net looks like in memory: feature bits, configuration, packet header (§5.1).

import SwiftletMachine

extension VirtioFeatures {
    /// VIRTIO_NET_F_CSUM: the device computes checksums of what is sent.
    static let networkChecksum = bit(0)
    /// VIRTIO_NET_F_GUEST_CSUM: the driver takes frames whose checksum is partial.
    static let networkGuestChecksum = bit(1)
    /// VIRTIO_NET_F_MTU: the configuration holds the link's MTU.
    static let networkMTU = bit(3)
    /// VIRTIO_NET_F_MAC: the configuration holds the hardware address.
    static let networkAddress = bit(5)
    /// VIRTIO_NET_F_GUEST_TSO4: the driver takes TCP segments over IPv4 longer than a packet.
    static let networkGuestSegmentation = bit(7)
    /// VIRTIO_NET_F_GUEST_TSO6: the same over IPv6.
    static let networkGuestSegmentationIPv6 = bit(8)
    /// VIRTIO_NET_F_HOST_TSO4: the device cuts such segments.
    static let networkHostSegmentation = bit(11)
    /// VIRTIO_NET_F_HOST_TSO6: also those over IPv6.
    static let networkHostSegmentationIPv6 = bit(12)
    /// VIRTIO_NET_F_MRG_RXBUF: a received frame may fill several buffers.
    static let networkMergeableBuffers = bit(15)
    /// VIRTIO_NET_F_STATUS: the configuration holds the link's state.
    static let networkStatus = bit(16)

    /// Leaves out what makes no sense without another feature (§5.1.3.1). A segment of 64 KiB arrives
    /// in many buffers or not at all (§5.1.6.3.1).
    mutating func dropUnmetNetworkFeatures() {
        if !isSuperset(of: [.networkMergeableBuffers, .networkGuestChecksum]) {
            subtract([.networkGuestSegmentation, .networkGuestSegmentationIPv6])
        }
        if !contains(.networkChecksum) { subtract(.networkHostSegmentation) }
        // The large buffers are there for IPv4.
        if !contains(.networkHostSegmentation) { subtract(.networkHostSegmentationIPv6) }
    }
}

/// struct virtio_net_config (§5.1.4), offsets.
enum NetworkConfiguration {
    static var address: UInt { 0 }
    static var status: UInt { 6 }
    static var mtu: UInt { 10 }
    /// Octets up to the end of the last field that is read here.
    static var size: UInt { 12 }
}

/// struct virtio_net_hdr (§5.1.6): precedes every frame in both directions.
@usableFromInline enum NetworkHeader {
    @usableFromInline static var size: Int { 12 }
    /// VIRTIO_NET_HDR_F_NEEDS_CSUM: the field at csum_start + csum_offset holds a partial sum.
    @usableFromInline static var needsChecksum: UInt8 { 1 }
    /// VIRTIO_NET_HDR_F_DATA_VALID: the device has verified the checksum.
    @usableFromInline static var dataValid: UInt8 { 2 }

    /// VIRTIO_NET_HDR_GSO_TCPV4: a TCP segment over IPv4 that is longer than a packet.
    @usableFromInline static var segmentedTCPv4: UInt8 { 1 }
    /// VIRTIO_NET_HDR_GSO_TCPV6: the same over IPv6.
    @usableFromInline static var segmentedTCPv6: UInt8 { 4 }

    @usableFromInline static var flags: UInt { 0 }
    @usableFromInline static var segmentationType: UInt { 1 }
    @usableFromInline static var bufferCount: UInt { 10 }
}

/// What a network driver may spend, and what the link is taken for without the device's word.
public struct VirtioNetworkParameters: Sendable {
    /// Receive buffers of 2 KiB, posted all the time. At most this many; a power of two of them.
    public var receiveBuffers: Int
    /// Transmit buffers of 2 KiB.
    public var transmitBuffers: Int
    /// Transmit buffers of 64 KiB, made when they are needed; 0: the device cuts no segments.
    public var largeTransmitBuffers: Int

    public init(
        receiveBuffers: Int = 64, transmitBuffers: Int = 64, largeTransmitBuffers: Int = 8
    ) {
        self.receiveBuffers = receiveBuffers
        self.transmitBuffers = transmitBuffers
        self.largeTransmitBuffers = largeTransmitBuffers
    }
}

/// Frames that a device handed over and the driver did not pass on.
public struct VirtioNetworkDrops: Equatable, Sendable {
    /// Shorter than header and frame must be, or segmented though no segmentation was agreed.
    public var malformed: UInt64 = 0
    /// Merged frames longer than any that is taken.
    public var tooLong: UInt64 = 0

    init() {}
}
