// ICMPv6's types and codes (RFC 4443); those of the link alone stand in NeighbourDiscovery.

/// Numbers of the messages that the stack sends or understands.
enum ICMPv6 {
    static var destinationUnreachable: UInt8 { 1 }
    static var packetTooBig: UInt8 { 2 }
    static var timeExceeded: UInt8 { 3 }
    static var parameterProblem: UInt8 { 4 }
    static var echo: UInt8 { 128 }
    static var echoReply: UInt8 { 129 }

    /// Codes of "destination unreachable" (§3.1), and of "parameter problem" (§3.4).
    static var portUnreachable: UInt8 { 4 }
    static var unknownHeader: UInt8 { 1 }
}
