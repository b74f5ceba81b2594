// Counts of what came, what went, and what was dropped for which cause.

/// Totals of one stack since it was made. All wrap.
public struct NetworkStatistics: Equatable, Sendable {
    public var framesReceived: UInt64 = 0
    public var framesSent: UInt64 = 0

    /// Shorter than a header, or of a type that the stack does not speak.
    public var droppedFrames: UInt64 = 0
    /// Addressed to another station or host.
    public var droppedNotForUs: UInt64 = 0
    /// ARP packets that make no sense.
    public var droppedARP: UInt64 = 0
    /// IPv4 headers with a wrong length, checksum, option or source address.
    public var droppedIPv4Headers: UInt64 = 0
    /// IPv6 headers and extension headers with a wrong length, option or address.
    public var droppedIPv6Headers: UInt64 = 0
    /// Messages of neighbour discovery that make no sense, or come from beyond the link; redirects.
    public var droppedNeighbours: UInt64 = 0
    /// Fragments that were malformed, overlapped or broke a bound.
    public var droppedFragments: UInt64 = 0
    /// TCP, UDP or ICMP with a wrong length or checksum.
    public var droppedChecksums: UInt64 = 0
    /// Protocols and ICMP types that the stack does not speak.
    public var droppedProtocols: UInt64 = 0
    /// Echo requests and errors that were not answered because there were too many.
    public var droppedRateLimited: UInt64 = 0
    /// Datagrams for ports that nobody listens on.
    public var droppedClosedPorts: UInt64 = 0
    /// Outgoing packets without a route, or whose neighbour never answered.
    public var droppedUnreachable: UInt64 = 0
    /// Outgoing packets dropped because too many waited already.
    public var droppedQueueFull: UInt64 = 0

    public var datagramsReassembled: UInt64 = 0
    public var echoRepliesSent: UInt64 = 0
    public var errorsSent: UInt64 = 0
    public var errorsReceived: UInt64 = 0
    /// Times that another station was seen using our address (RFC 5227).
    public var addressConflicts: UInt64 = 0

    public init() {}
}
