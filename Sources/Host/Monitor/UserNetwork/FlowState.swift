// What tells one TCP flow from another, and the states that each goes through.

/// Names a flow: the other end, as the guest calls it, and the guest's port.
struct FlowKey: Hashable {
    var remote: SocketAddress
    var guestPort: UInt16

    func hash(into hasher: inout Hasher) {
        hasher.combine(
            UInt64(remote.address) << 32 | UInt64(remote.port) << 16 | UInt64(guestPort))
    }
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
