// TCP for applications: connections, and listeners that accept them.

import SwiftletMachine
import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// One TCP connection. One task may read while another writes.
    ///
    /// Letting go of the last reference closes it in the orderly way.
    public final class TCPConnection: @unchecked Sendable {
        let network: Network
        /// Valid while this object lives: only `deinit` releases the connection.
        private let handle: TCPConnectionHandle
        @inline(__always) var id: TCPConnectionID { handle.id }
        /// The turn of the event loop at whose end a flush is due.
        private var flushTurn: UInt64 = 0
        private var hasFinished = false

        /// - Parameter id: a connection that nobody has released, which is this object's from now on.
        init(network: Network, id: TCPConnectionID) {
            guard let handle = network.stack.handle(id) else {
                preconditionFailure("a connection was released before it was accepted")
            }
            self.network = network
            self.handle = handle
        }

        deinit {
            if !hasFinished { network.stack.finish(id, now: network.now) }
            network.stack.release(id)
        }

        /// The peer's address and port.
        public var remoteAddress: SocketAddress { network.stack.status(id).remote }
        /// This end's address and port.
        public var localAddress: SocketAddress { network.stack.status(id).local }

        // MARK: Reading

        /// Octets that can be read at once.
        @inline(__always)
        public var receivedCount: Int { network.stack.receivedCount(handle) }

        /// Shows the longest contiguous run of received octets; it may be shorter than
        /// `receivedCount` where the ring wraps around.
        @inline(__always)
        public func withReceived<R: ~Copyable>(_ body: (RawSpan) -> R) -> R {
            network.stack.withReceived(handle, body)
        }

        /// Drops `count` octets that were read.
        @inline(__always)
        public func consume(_ count: Int) {
            network.stack.consume(handle, count, now: network.now)
        }

        /// Waits until octets can be read, or until a time of the machine's clock in nanoseconds;
        /// cancellation does not end it, `interrupt` does.
        ///
        /// - Returns: false at the end of the stream.
        /// - Throws: `.timedOut`, `.reset`, `.cancelled`.
        nonisolated(nonsending)
            public func waitUntilReadable(until deadline: UInt64) async throws(NetworkError) -> Bool
        {
            while true {
                if let answer = try readability() { return answer }
                let result = await Waits.wait(at: network.readerPlace(id), until: deadline)
                if result != .woken { try NetworkError.check(result) }
            }
        }

        /// True if nothing is received and more may come.
        @inline(__always)
        public var awaitsOctets: Bool {
            if case .nothing = network.stack.readiness(handle) { return true }
            return false
        }

        /// Waits until something happens on the receiving side, or until `deadline`. Only while
        /// `awaitsOctets`. Cancellation does not end it.
        @inline(__always)
        nonisolated(nonsending)
            public func pause(until deadline: UInt64) async
        {
            await Waits.suspend(at: network.readerPlace(id), until: deadline)
        }

        /// True: octets wait. False: no more will come. Nil: not yet known.
        @inline(__always)
        func readability() throws(NetworkError) -> Bool? {
            switch network.stack.readiness(handle) {
            case .octets: true
            case .ended: false
            case .failed(let failure): throw NetworkError(failure)
            case .nothing: nil
            }
        }

        /// Ends a wait for octets that is under way, as a cancelled task's.
        public func interrupt() { network.interrupt(reader: id) }

        // MARK: Writing

        /// Queues what fits, to be sent when the task next waits.
        ///
        /// - Returns: how many octets were taken.
        @inline(__always)
        public func send(_ bytes: RawSpan) -> Int {
            let count = network.stack.send(handle, bytes)
            if count > 0, flushTurn != network.turn {
                flushTurn = network.turn
                network.flushLater(id)
            }
            return count
        }

        /// Waits until `send` has room, or until a time of the machine's clock in nanoseconds;
        /// cancellation does not end it.
        ///
        /// - Throws: `.timedOut`, `.reset`, `.closed`.
        nonisolated(nonsending)
            public func waitUntilWritable(until deadline: UInt64) async throws(NetworkError)
        {
            while network.stack.sendRoom(id) == 0 {
                if let failure { throw failure }
                let result = await Waits.wait(at: network.writerPlace(id), until: deadline)
                if result == .timedOut { throw .timedOut }
            }
        }

        // MARK: Ending

        /// Ends this side's stream after what was sent; the peer's may go on.
        public func finish() {
            hasFinished = true
            network.stack.finish(id, now: network.now)
        }

        /// Ends the connection at once, with a reset.
        public func abort() {
            hasFinished = true
            network.stack.abort(id, now: network.now)
            network.wakeAll(id)
        }

        /// Sends each small write at once (true, the default) or lets Nagle's algorithm join them.
        public func setNoDelay(_ noDelay: Bool) {
            network.stack.setOptions(id, TCPOptions(noDelay: noDelay), now: network.now)
        }

        /// What the connection has done so far, and how it stands.
        public var statistics: TCPConnectionStatistics { network.stack.connectionStatistics(id) }

        var failure: NetworkError? {
            let status = network.stack.status(id)
            if let failure = status.failure { return NetworkError(failure) }
            return status.state == .closed || status.finished ? .closed : nil
        }
    }

    extension NetworkError {
        init(_ failure: TCPFailure) {
            switch failure {
            case .reset, .aborted: self = .reset
            case .refused: self = .refused
            case .timedOut: self = .timedOut
            case .unreachable: self = .unreachable
            }
        }
    }
#endif
