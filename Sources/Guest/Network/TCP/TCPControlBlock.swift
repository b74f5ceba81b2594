// The state of one connection: the Transmission Control Block of RFC 9293 §3.3.1.

/// What is being recovered from (RFC 5681 §3, RFC 6582, RFC 6675).
enum TCPRecovery: UInt8 {
    case none
    /// Fast recovery, begun by duplicate acknowledgements or SACK.
    case fast
    /// After a retransmission timeout: all that was in flight counts as lost.
    case loss
}

/// Facts about a connection that are true or false.
struct TCPConnectionFlags: OptionSet {
    var rawValue: UInt32

    @inline(__always)
    private static func bit(_ position: UInt32) -> TCPConnectionFlags {
        TCPConnectionFlags(rawValue: 1 << position)
    }

    /// An acknowledgement is due at once.
    static var ackNow: TCPConnectionFlags { bit(0) }
    /// An acknowledgement is due, at the latest when the delayed-ACK timer fires.
    static var ackDelayed: TCPConnectionFlags { bit(1) }
    /// The application has no more to send: a FIN stands behind the send ring.
    static var finQueued: TCPConnectionFlags { bit(2) }
    /// The FIN was sent at least once; SND.NXT counts it.
    static var finSent: TCPConnectionFlags { bit(3) }
    /// The peer's FIN is known, at `finSequence`, though octets before it may be missing.
    static var finKnown: TCPConnectionFlags { bit(4) }
    /// The peer's FIN was reached.
    static var finReceived: TCPConnectionFlags { bit(5) }
    static var noDelay: TCPConnectionFlags { bit(6) }
    static var sackPermitted: TCPConnectionFlags { bit(7) }
    static var windowScaled: TCPConnectionFlags { bit(8) }
    /// `send` did not take all: an event is wanted when there is room.
    static var wantsWritable: TCPConnectionFlags { bit(9) }
    /// The application let go.
    static var released: TCPConnectionFlags { bit(10) }
    /// `poll` shall reset the connection (nobody accepted it, or it was released unread).
    static var abortAtPoll: TCPConnectionFlags { bit(11) }
    /// The connection table holds this block.
    static var inTable: TCPConnectionFlags { bit(12) }
    /// One octet beyond SND.NXT was sent as a window probe: its ACK is acceptable.
    static var probed: TCPConnectionFlags { bit(13) }
    /// The next retransmission goes out whatever the congestion window says.
    static var retransmitFirst: TCPConnectionFlags { bit(14) }
    /// The retransmission timer stands early: for a tail loss probe (RFC 8985 §7).
    static var probeTimer: TCPConnectionFlags { bit(15) }
    /// A connection that this side opened, until it is established.
    static var active: TCPConnectionFlags { bit(16) }
    /// `.closed` was told.
    static var closedTold: TCPConnectionFlags { bit(17) }
    /// The output had no room: try again soon.
    static var blocked: TCPConnectionFlags { bit(18) }
    /// `poll` has seen that the application let go.
    static var lingering: TCPConnectionFlags { bit(19) }
    /// The network reported that segments do not arrive, at `errorNotedAt`.
    static var errorNoted: TCPConnectionFlags { bit(20) }
    /// Both sides send timestamps in every segment (RFC 7323 §3.2).
    static var timestamps: TCPConnectionFlags { bit(21) }
    /// The retransmission timer stands early: for octets that may only be late (RFC 8985 §6.2).
    static var reorderTimer: TCPConnectionFlags { bit(22) }
    /// A tail loss probe is out, whose answer is `probeEnd`.
    static var probing: TCPConnectionFlags { bit(23) }
    /// The probe was octets that had been sent before.
    static var probeRepeated: TCPConnectionFlags { bit(24) }
    /// The network delivers out of order.
    static var reorders: TCPConnectionFlags { bit(25) }
    /// The first answer to a retransmission may tell that it was needless (RFC 3522).
    static var mayUndo: TCPConnectionFlags { bit(26) }
    /// Both sides heed marks of routers (RFC 3168).
    static var heedsMarks: TCPConnectionFlags { bit(27) }
    /// A marked packet came: every segment says so, until the peer has reduced its window.
    static var echoesMark: TCPConnectionFlags { bit(28) }
    /// The next new octets say that the window was reduced.
    static var tellsReduction: TCPConnectionFlags { bit(29) }
    /// An acknowledgement is due at once that tells of octets out of order, or received twice: a
    /// segment with octets has no room for that.
    static var sackNow: TCPConnectionFlags { bit(30) }
    /// Segments are shorter than was agreed on, and longer ones are to be tried (`searchPath`).
    static var shortened: TCPConnectionFlags { bit(31) }

    @inline(__always)
    func contains(_ other: TCPConnectionFlags) -> Bool { rawValue & other.rawValue != 0 }
}

/// One connection. Names are RFC 9293's: `sndUna` is SND.UNA.
struct TCPControlBlock: ~Copyable {
    let id: TCPConnectionID
    let tuple: TCPTuple
    let hash: UInt32

    var state: TCPState
    var failure: TCPFailure?
    var events = TCPEventFlags(rawValue: 0)
    var flags = TCPConnectionFlags(rawValue: 0)

    // Receiving.
    var rcvNxt = SequenceNumber(0)
    /// The right edge of the window as advertised: RCV.NXT + RCV.WND. It never moves left.
    var rcvEdge = SequenceNumber(0)
    var finSequence = SequenceNumber(0)
    var receiveRing = ByteRing()
    var outOfOrder = SequenceIntervals()
    /// Where the newest segment out of order began: its range is told first (RFC 2018 §4).
    var newestOutOfOrder = SequenceNumber(0)
    /// Octets that came twice, to be told once (RFC 2883); empty: none.
    var duplicate = SequenceInterval(start: SequenceNumber(0), end: SequenceNumber(0))
    /// What the receive ring may hold; grows while the application keeps up.
    var receiveLimit: Int
    /// Octets consumed since `receiveLimit` last grew.
    var consumedInRound = 0
    /// Octets consumed before that, and when it last grew or could have.
    var consumedBefore: UInt64 = 0
    var growthAt: UInt32 = 0
    /// Octets received since the last acknowledgement went out.
    var unacknowledgedReceived = 0
    /// The longest payload seen: what the peer takes for a full segment.
    var peerSegment = 536
    var receiveShift: UInt8 = 0
    /// TS.Recent: the timestamp to echo (RFC 7323 §4.3).
    var timestampRecent: UInt32 = 0
    /// What our timestamps are ahead of our clock: each connection's own, so that they do not tell
    /// how long the machine has been running (RFC 7323 §7.1).
    var timestampOffset: UInt32 = 0
    /// RCV.NXT as last told to the peer (RFC 7323 §4.3, Last.ACK.sent).
    var lastAckSent = SequenceNumber(0)

    // Sending.
    let iss: SequenceNumber
    var sndUna: SequenceNumber
    /// Octets of sequence space acknowledged since the connection began.
    var acknowledgedOctets: UInt64 = 0
    var sndNxt: SequenceNumber
    var sndWl1 = SequenceNumber(0)
    var sndWl2 = SequenceNumber(0)
    /// SND.WND in octets.
    var sndWnd = 0
    /// The largest window that the peer ever offered.
    var maximumWindow = 0
    var sendShift: UInt8 = 0
    /// Maximum payload of a segment that this side sends.
    var mss = 536
    /// What both sides agreed on; the path may take less.
    var agreedMss: UInt16 = 536
    /// The one longer segment that is out, to see whether it arrives (RFC 8899): its payload, or 0 if
    /// there is none; SND.NXT behind it; and `retransmissions` before it.
    var triedMss: UInt16 = 0
    var triedEnd: SequenceNumber
    var triedAfter: UInt32 = 0
    /// When the next one goes, in ticks of `TCPSentTimes`.
    var searchAt: UInt32 = 0
    var sendRing = ByteRing()

    // Congestion and loss.
    var congestion = TCPCongestion()
    var recovery = TCPRecovery.none
    var duplicateAcks = 0
    /// SND.NXT when loss was last detected: recovery ends there.
    var recover: SequenceNumber
    /// Up to where lost octets were sent again in this recovery (RFC 6675, HighRxt).
    var highRetransmitted: SequenceNumber
    /// Below it, what is not SACKed counts as lost (while SACK is in use).
    var lostEnd: SequenceNumber
    /// When octets were last sent again, and our timestamp when the first in this recovery were.
    var retransmittedAt: UInt32 = 0
    var retransmitStamp: UInt32 = 0
    var sentTimes = TCPSentTimes()
    /// Of the octets that were SACKed, those that were sent last: when, where they end, and how
    /// long their answer took (RFC 8985 §5.3).
    var rackTime: UInt32 = 0
    var rackEnd: SequenceNumber
    var rackRoundTrip: UInt32 = 0
    /// Quarters of the shortest round trip for which octets may be late (RFC 8985 §6.2, step 4),
    /// and SND.NXT when they last became more.
    var lateness: UInt8 = 1
    var latenessRound: SequenceNumber
    /// SND.NXT when the window was last reduced for a mark: once in a round trip is enough.
    var markedAt: SequenceNumber
    /// SND.NXT when a tail loss probe went out.
    var probeEnd: SequenceNumber
    /// Ranges beyond SND.UNA that the peer has (the SACK scoreboard).
    var sacked = SequenceIntervals()

    // Round trip and timers. Deadlines are nanoseconds; .max: off.
    var roundTrip: TCPRoundTrip
    /// SND.NXT when this round trip began: one in each is taken for SRTT.
    var roundEnd: SequenceNumber
    /// Retransmission, or the window probe when nothing is in flight.
    var retransmitAt = UInt64.max
    /// A delayed acknowledgement, or another try after the output had no room.
    var soonAt = UInt64.max
    /// Keepalive, FIN-WAIT-2, and "look at me at once" (0).
    var lifeAt = UInt64.max
    var attempts = 0
    var keepaliveProbesSent = 0
    var retransmissions: UInt32 = 0
    var lastReceivedAt = Instant(nanoseconds: 0)
    var lastSentAt = Instant(nanoseconds: 0)
    /// When SND.UNA last moved, or data was first in flight.
    var progressAt = Instant(nanoseconds: 0)
    var lastChallengeAt: Instant?
    /// SND.UNA when the network last reported an error.
    var errorNotedAt = SequenceNumber(0)
    var keepaliveNanoseconds: UInt64
    var userTimeoutNanoseconds: UInt64
    private let inPlace = InPlace()

    init(
        id: TCPConnectionID, tuple: TCPTuple, hash: UInt32, state: TCPState, iss: SequenceNumber,
        configuration: TCPConfiguration
    ) {
        self.id = id
        self.tuple = tuple
        self.hash = hash
        self.state = state
        self.iss = iss
        sndUna = iss
        sndNxt = iss
        recover = iss
        highRetransmitted = iss
        lostEnd = iss
        rackEnd = iss
        latenessRound = iss
        probeEnd = iss
        triedEnd = iss
        markedAt = iss
        roundEnd = iss
        receiveLimit = configuration.firstWindow
        roundTrip = TCPRoundTrip(initial: configuration.initialRetransmissionNanoseconds)
        keepaliveNanoseconds = configuration.options.keepaliveNanoseconds
        userTimeoutNanoseconds = configuration.options.userTimeoutNanoseconds
        if configuration.options.noDelay { flags.insert(.noDelay) }
    }

    /// Octets of sequence space in flight.
    @inline(__always) var inFlight: Int { sndNxt - sndUna }

    /// The states in which data has its order: the handshake is over.
    @inline(__always) var isSynchronized: Bool {
        state.rawValue >= TCPState.established.rawValue
    }

    /// True while the peer's octets are wanted.
    @inline(__always) var mayReceive: Bool {
        state == .established || state == .finWait1 || state == .finWait2
    }

    /// True while this side may send data or retransmit it.
    @inline(__always) var maySend: Bool {
        switch state {
        case .established, .closeWait, .finWait1, .closing, .lastAck: true
        default: false
        }
    }

    /// Tells the event loop; of one kind once until it has looked.
    @inline(__always)
    mutating func tell(_ event: TCPEventFlags, _ context: inout TCPContext) {
        if flags.contains(.released) { return }
        if events.rawValue == 0 {
            context.events.push(
                TCPEventQueue.Entry(
                    index: id.index, generation: id.generation, isListener: false))
        }
        events.rawValue |= event.rawValue
    }

    /// The connection is over: `.closed` is told once.
    mutating func tellClosed(_ context: inout TCPContext) {
        guard !flags.contains(.closedTold) else { return }
        flags.insert(.closedTold)
        tell(.closed, &context)
    }

    /// Ends the connection: nothing more is sent or received. Received octets stay readable after
    /// an orderly end; after a failure they are gone.
    mutating func close(_ failure: TCPFailure?, _ context: inout TCPContext) {
        if let failure {
            self.failure = failure
            receiveRing.clear(into: &context.pool)
        }
        state = .closed
        dropSendState(&context)
        outOfOrder.clear(into: &context.pool)
        tellClosed(&context)
    }

    /// Nothing more is to be sent.
    mutating func dropSendState(_ context: inout TCPContext) {
        sendRing.clear(into: &context.pool)
        sacked.clear(into: &context.pool)
        retransmitAt = .max
        soonAt = .max
        lifeAt = .max
        context.timers.set(Int(id.index), .max)
    }

    borrowing func status() -> TCPStatus {
        TCPStatus(
            state: state, peerFinished: flags.contains(.finReceived),
            finished: flags.contains(.finQueued), failure: failure,
            local: SocketAddress(tuple.local, port: tuple.localPort),
            remote: SocketAddress(tuple.remote, port: tuple.remotePort),
            unacknowledged: sendRing.count, congestionWindow: congestion.window,
            peerWindow: sndWnd, maximumSegmentSize: mss,
            roundTripNanoseconds: roundTrip.smoothed, retransmissions: retransmissions)
    }
}
