// What tells one TCP flow from another, and the states that each goes through.

/// Names a flow: the other end, as the guest calls it, and the guest's own, which makes its addresses
/// of IPv6 itself.
struct FlowKey: Hashable {
    var remote: SocketAddress
    var guestPort: UInt16
    var guest = NetworkAddress(UserNetworkAddress.guest)

    /// The longest payload of a TCP segment in a frame of 1500 octets.
    var segmentSize: UInt16 { guest.isV4 ? 1460 : 1440 }
}

extension TCPFlow {
    enum Phase {
        /// The host's socket is being connected, as the guest asked.
        case connecting
        /// The guest was asked (SYN) and has not answered.
        case opening
        /// The guest was answered (SYN, ACK) and has not acknowledged.
        case answering
        case established
        case closed
    }
}
