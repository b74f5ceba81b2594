// What the server asks of the connection under it: the guest's TCP, or memory in a test.

import _Concurrency

/// A byte stream in both directions, used by one task. Times are monotonic nanoseconds.
public protocol HTTPTransport: AnyObject, Sendable {
    /// Why a wait ended early.
    associatedtype Failure: Error
    /// Who is at the other end.
    associatedtype Address: Sendable

    var remoteAddress: Address { get }
    /// Octets received and not consumed.
    var receivedCount: Int { get }
    /// Shows the longest contiguous run of octets received and not consumed.
    func withReceived<R: ~Copyable>(_ body: (RawSpan) -> R) -> R
    func consume(_ count: Int)
    /// Takes as many of the octets as there is room for, and tells how many.
    func send(_ bytes: RawSpan) -> Int
    /// True if nothing is received and more may come: `pause` makes sense.
    var awaitsOctets: Bool { get }
    /// Waits once, until something happens on the receiving side or `deadline` passes: which of
    /// them, `waitUntilReadable` knows.
    nonisolated(nonsending) func pause(until deadline: UInt64) async
    /// Waits until octets are there; false at the end of the stream.
    nonisolated(nonsending)
        func waitUntilReadable(until deadline: UInt64) async throws(Failure) -> Bool
    nonisolated(nonsending) func waitUntilWritable(until deadline: UInt64) async throws(Failure)
    /// Ends a wait for octets that is under way: it fails, with something else than a timeout.
    func interrupt()
    /// Tells a wait that ran out of time from a connection that is gone.
    static func isTimeout(_ failure: Failure) -> Bool
    /// Ends the sending direction after what was sent.
    func finish()
    /// Ends both directions at once.
    func abort()

    /// The time on a clock that only runs forward.
    var now: UInt64 { get }
    /// Seconds since 1970, if the machine knows.
    var unixSeconds: Int64? { get }
}

/// Why the body of a request could not be read.
public enum HTTPError: Error, Equatable, Sendable {
    /// The client sent too little for too long.
    case timedOut
    /// The client is gone.
    case disconnected
    /// The body is longer than the limit.
    case contentTooLarge
    /// The body's framing is broken.
    case malformed
    /// The request was already answered and left behind.
    case finished
    /// The server holds as much for slow clients as it may (`HTTPLimits.slowHeads`).
    case overloaded
}

/// How long a client may take, in nanoseconds.
public struct HTTPTimeouts: Sendable {
    /// From a request's first octet to the end of its head.
    public var head: UInt64 = 10_000_000_000
    /// Between two requests.
    public var idle: UInt64 = 60_000_000_000
    /// Without progress while a body is read. Every octet earns 2^20 ns (about 1 KB a second).
    public var body: UInt64 = 30_000_000_000
    /// Without progress while a response is written, earned back in the same way.
    public var write: UInt64 = 30_000_000_000
    /// For the client to take an error in before the connection is torn down.
    public var linger: UInt64 = 2_000_000_000

    public init() {}
}

/// What is left of the time that a slow client is given: waiting uses it up, octets earn it back,
/// so that a client who sends one octet a minute is not served for a year.
struct Patience {
    let whole: UInt64
    var left: UInt64

    init(_ whole: UInt64) {
        self.whole = whole
        left = whole
    }

    mutating func waited(_ nanoseconds: UInt64) {
        left = left > nanoseconds ? left &- nanoseconds : 0
    }

    mutating func earned(octets: Int) {
        left = min(whole, left &+ UInt64(min(octets, 1 << 30)) &<< 20)
    }

    func deadline(_ now: UInt64) -> UInt64 {
        let (sum, overflow) = now.addingReportingOverflow(left)
        return overflow ? .max : sum
    }
}
