// One TCP connection, in two halves: a socket of the host's, and this end of one to the guest.
//
// The wire between is a socket of this machine, so there is no congestion and hardly a loss: frames
// are lost only where the guest or the monitor has no room. What is left of RFC 9293 is the order of
// octets, both windows, a timer that begins again at the first octet that was not acknowledged
// (§3.8.1), and the ends. Each direction has a ring of 64 KiB, so nothing is taken that cannot be
// kept: the guest's window is what is free of one, the socket is read as far as the other is free.

import CSwiftletKVM
import Glibc

/// One connection.
final class TCPFlow {
    private static let firstTimeout: UInt64 = 200_000_000
    private static let longestTimeout: UInt64 = 60_000_000_000
    /// Some minutes.
    private static let mostTries = 15

    let key: FlowKey
    let file: Int32
    let slot: Int
    private(set) var phase: Phase

    // To the guest: the ring's first octet is `unacknowledged`, but for a SYN.
    private var unacknowledged: UInt32
    private var next: UInt32
    private var highest: UInt32
    private var window: UInt32 = 0
    private var segmentSize = 536
    private let toGuest: OctetRing
    private var repeats = 0

    // From the guest.
    private var expected: UInt32 = 0
    private let fromGuest: OctetRing
    /// The end of the window that the guest was told.
    private var promised: UInt32 = 0
    private var owesAcknowledgement = false

    private var isReadable = false
    private var hostHasEnded = false
    private var endIsAcknowledged = false
    private var guestHasEnded = false
    private var endIsPassedOn = false
    /// Among those that have something to do at the end of a turn.
    var isWaiting = false

    /// When to try again, in nanoseconds; `max` for never.
    private(set) var deadline = UInt64.max
    private var timeout = firstTimeout
    private var tries = 0
    /// While a refusal may only mean that the guest is not ready yet.
    private let patientUntil: UInt64

    /// A connection that the host accepted; the guest is still to be asked.
    init(
        accepted file: Int32, key: FlowKey, slot: Int, sequence: UInt32, patientUntil: UInt64,
        stores: OctetStores
    ) {
        (self.file, self.key, self.slot, self.patientUntil) = (file, key, slot, patientUntil)
        (toGuest, fromGuest) = (OctetRing(stores), OctetRing(stores))
        (unacknowledged, next, highest) = (sequence, sequence, sequence)
        phase = .opening
    }

    /// A connection that the guest asks for; the host's socket is being connected.
    init(
        asked segment: GuestSegment, file: Int32, key: FlowKey, slot: Int, sequence: UInt32,
        stores: OctetStores
    ) {
        (self.file, self.key, self.slot, patientUntil) = (file, key, slot, 0)
        (toGuest, fromGuest) = (OctetRing(stores), OctetRing(stores))
        (unacknowledged, next, highest) = (sequence, sequence, sequence)
        phase = .connecting
        expected = segment.sequence &+ 1
        accept(segment)
    }

    private func accept(_ segment: GuestSegment) {
        segmentSize = Int(min(max(segment.segmentSize ?? 536, 64), key.segmentSize))
        window = UInt32(segment.window)
    }

    private var inFlight: Int { Int(next &- unacknowledged) }

    // MARK: Opening

    /// Asks the guest.
    func open(_ network: UserNetwork) {
        send(TCPFlag.syn, network)
        next = unacknowledged &+ 1
        highest = next
        deadline = network.now + timeout
        network.noteDeadline(deadline)
    }

    /// The host's socket is connected, or not.
    private func finishConnecting(_ network: UserNetwork) {
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size) == 0, error == 0 else {
            return abort(network)
        }
        phase = .answering
        answer(network)
    }

    private func answer(_ network: UserNetwork) {
        send(TCPFlag.syn | TCPFlag.acknowledge, network)
        next = unacknowledged &+ 1
        highest = next
        deadline = network.now + timeout
        network.noteDeadline(deadline)
    }

    // MARK: From the guest

    func receive(_ segment: GuestSegment, _ network: UserNetwork) {
        switch phase {
        case .closed, .connecting:
            if phase == .connecting, segment.flags & TCPFlag.reset != 0 { close(network) }
            return
        case .opening:
            return receiveAnswer(segment, network)
        case .answering, .established: break
        }
        if segment.flags & TCPFlag.reset != 0 {
            // RFC 5961 §3.2: only the very next octet's resets.
            if segment.sequence == expected { close(network, resetting: true) }
            return
        }
        if segment.flags & TCPFlag.syn != 0 {
            if phase == .answering, segment.sequence &+ 1 == expected { answer(network) }
            return
        }
        guard segment.flags & TCPFlag.acknowledge != 0, receiveAcknowledgement(segment, network)
        else { return }
        if segment.length > 0 { receiveOctets(segment, network) }
        if phase == .established { push(network) }
    }

    /// The answer to SYN.
    private func receiveAnswer(_ segment: GuestSegment, _ network: UserNetwork) {
        guard segment.flags & TCPFlag.acknowledge != 0, segment.acknowledgement == next else {
            return
        }
        if segment.flags & TCPFlag.reset != 0 {
            guard network.now < patientUntil, !network.hasAnswered(key.guestPort) else {
                return close(network, resetting: true)
            }
            // It does not listen yet: asked again soon.
            timeout = min(max(timeout % Self.firstTimeout, 500_000) * 2, 20_000_000)
            deadline = network.now + timeout
            return network.noteDeadline(deadline)
        }
        guard segment.flags & TCPFlag.syn != 0 else { return }
        expected = segment.sequence &+ 1
        accept(segment)
        unacknowledged = next
        network.noteAnswer(of: key.guestPort)
        establish(network)
        owesAcknowledgement = true
        network.settleLater(self)
    }

    private func establish(_ network: UserNetwork) {
        phase = .established
        timeout = Self.firstTimeout
        tries = 0
        deadline = .max
        pump(network)
    }

    /// False if the segment is not of this connection's present.
    private func receiveAcknowledgement(
        _ segment: GuestSegment, _ network: UserNetwork
    ) -> Bool {
        let acknowledged = segment.acknowledgement &- unacknowledged
        guard acknowledged <= highest &- unacknowledged else {
            // Old ones come late; those from the future are nobody's (RFC 9293 §3.10.7.4).
            owesAcknowledgement = true
            network.settleLater(self)
            return acknowledged > 1 << 31
        }
        if phase == .answering {
            guard acknowledged == 1 else { return false }
            unacknowledged = next
            window = UInt32(segment.window)
            establish(network)
            return true
        }
        if acknowledged == 0, segment.length == 0, inFlight > 0, window == UInt32(segment.window) {
            repeats += 1
            if repeats == 3 { sendAgain(network) }
        }
        window = UInt32(segment.window)
        guard acknowledged > 0 else { return true }
        repeats = 0
        let octets = min(Int(acknowledged), toGuest.count)
        toGuest.drop(octets)
        unacknowledged = segment.acknowledgement
        if Int(next &- unacknowledged) > Int(highest &- unacknowledged) { next = unacknowledged }
        timeout = Self.firstTimeout
        tries = 0
        setDeadline(network)
        if Int(acknowledged) > octets {
            // Our FIN, which only follows the last octet.
            endIsAcknowledged = true
            if guestHasEnded { network.settleLater(self) }
        }
        if isReadable { pump(network) }
        return true
    }

    private func receiveOctets(_ segment: GuestSegment, _ network: UserNetwork) {
        owesAcknowledgement = true
        network.settleLater(self)
        let known = Int(Int32(bitPattern: expected &- segment.sequence))
        // All of it is known, or something before it is missing.
        guard known >= 0, known <= segment.payload.count, !guestHasEnded else { return }
        let new = UnsafeRawBufferPointer(rebasing: segment.payload[known...])
        let taken = min(new.count, fromGuest.free)
        // What finds no memory comes again.
        guard fromGuest.append(UnsafeRawBufferPointer(rebasing: new[..<taken])) else { return }
        expected &+= UInt32(taken)
        if taken == new.count, segment.flags & TCPFlag.fin != 0 {
            expected &+= 1
            guestHasEnded = true
        }
    }

    // MARK: From the host

    /// What epoll(7) told of the socket.
    func handle(_ events: UInt32, _ network: UserNetwork) {
        if phase == .connecting {
            let isDone = EPOLLOUT.rawValue | EPOLLERR.rawValue | EPOLLHUP.rawValue
            if events & isDone != 0 { finishConnecting(network) }
        }
        if events & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue)
            != 0
        {
            isReadable = true
            if phase == .established { pump(network) }
        }
        if events & EPOLLOUT.rawValue != 0, fromGuest.count > 0 { network.settleLater(self) }
    }

    /// Reads what the ring takes, and sends what the guest takes.
    func pump(_ network: UserNetwork) {
        guard phase == .established else { return }
        while isReadable, !hostHasEnded, toGuest.free > 0 {
            let count = toGuest.fill(from: file)
            if count == 0 {
                hostHasEnded = true
            } else if count < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN else { return abort(network) }
                isReadable = false
            } else {
                push(network)
            }
        }
        push(network)
    }

    // MARK: To the guest

    /// Sends what its window lets in, and the end after the last octet.
    private func push(_ network: UserNetwork) {
        guard !endIsAcknowledged else { return }
        let before = next
        while inFlight < toGuest.count {
            let length = min(toGuest.count - inFlight, Int(window) - inFlight, segmentSize)
            guard length > 0, send(TCPFlag.acknowledge | TCPFlag.push, network, payload: length)
            else { break }
            next &+= UInt32(length)
        }
        if hostHasEnded, inFlight == toGuest.count,
            send(TCPFlag.acknowledge | TCPFlag.fin, network)
        {
            next &+= 1
        }
        if next &- unacknowledged > highest &- unacknowledged { highest = next }
        if before != next || (deadline == .max && inFlight < toGuest.count) { setDeadline(network) }
    }

    private func setDeadline(_ network: UserNetwork) {
        let isDone = phase == .established && inFlight == 0 && toGuest.count == 0
        deadline = isDone ? .max : network.now + timeout
        if !isDone { network.noteDeadline(deadline) }
    }

    /// The first segment once more: three acknowledgements say that it is missing.
    private func sendAgain(_ network: UserNetwork) {
        let behind = next
        next = unacknowledged
        let length = min(toGuest.count, segmentSize)
        if length > 0 { send(TCPFlag.acknowledge | TCPFlag.push, network, payload: length) }
        next = behind
    }

    /// The deadline has come.
    func timeOut(_ network: UserNetwork) {
        deadline = .max
        // A guest that takes nothing, since it is paused, is not asked again in vain.
        if network.link.hasOutput { return setDeadline(network) }
        let isPatient = phase == .opening && network.now < patientUntil
        tries += isPatient ? 0 : 1
        guard tries <= Self.mostTries else { return abort(network) }
        if !isPatient { timeout = min(timeout * 2, Self.longestTimeout) }
        switch phase {
        case .opening:
            next = unacknowledged
            open(network)
        case .answering:
            next = unacknowledged
            answer(network)
        case .established:
            // A closed window is asked with an octet (RFC 9293 §3.8.6.1).
            next = unacknowledged
            if window == 0 {
                window = 1
                tries = min(tries, Self.mostTries - 1)
            }
            push(network)
            setDeadline(network)
        case .connecting, .closed: break
        }
    }

    /// Sends one segment at `next`, with `length` octets of the ring. False if the link is full.
    @discardableResult
    private func send(
        _ flags: UInt8, _ network: UserNetwork, payload length: Int = 0
    ) -> Bool {
        let windowSize = UInt32(min(fromGuest.free, 0xFFFF))
        let offset = flags & TCPFlag.syn != 0 ? 0 : inFlight
        let isSent = network.sendSegment(
            key, sequence: next, acknowledgement: phase == .opening ? 0 : expected, flags: flags,
            window: UInt16(windowSize), payload: length
        ) { toGuest.copy(offset, length, to: $0) }
        guard isSent else { return false }
        if flags & TCPFlag.acknowledge != 0 {
            promised = expected &+ windowSize
            owesAcknowledgement = false
        }
        return true
    }

    // MARK: The end of a turn

    /// Hands the host what the guest sent, acknowledges it, and sees whether that was all.
    func settle(_ network: UserNetwork) {
        guard phase == .established else { return }
        while fromGuest.count > 0 {
            let count = fromGuest.drain(to: file)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { break }
            if count < 0 { return abort(network) }
        }
        if guestHasEnded, !endIsPassedOn, fromGuest.count == 0 {
            endIsPassedOn = true
            shutdown(file, Int32(SHUT_WR))
        }
        let opened = Int32(bitPattern: expected &+ UInt32(min(fromGuest.free, 0xFFFF)) &- promised)
        if owesAcknowledgement || opened >= 16 << 10 {
            send(TCPFlag.acknowledge, network)
        }
        if endIsPassedOn, endIsAcknowledged { close(network) }
    }

    /// Resets both halves.
    private func abort(_ network: UserNetwork) {
        network.sendSegment(
            key, sequence: highest, acknowledgement: expected,
            flags: TCPFlag.reset | TCPFlag.acknowledge, window: 0, payload: 0)
        close(network, resetting: true)
    }

    /// Ends the flow, and the host's half with a reset if it is to be seen as broken.
    private func close(_ network: UserNetwork, resetting: Bool = false) {
        phase = .closed
        deadline = .max
        if resetting {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                file, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        }
        Glibc.close(file)
        network.forget(self)
    }
}
