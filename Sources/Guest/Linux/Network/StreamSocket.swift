// Stream sockets: TCP (tcp(7)).

import SwiftletNetwork

#if hasFeature(Embedded)
    /// A listener, a connection, or what will be one.
    final class StreamSocket: SocketFile {
        private enum State {
            case idle
            case listening(TCPListenerID)
            case connecting(TCPConnectionID)
            case connected(TCPConnectionID, TCPConnectionHandle)
        }

        private var state = State.idle
        /// Of a listener: taken from the stack, not yet by the program.
        private var accepted: TCPConnectionID?
        private var hasShutReading = false
        private var hasShutWriting = false
        private var noDelay: Bool?

        override var type: Int32 { 1 }

        override init(network: ProgramNetwork, family: AddressFamily, flags: UInt32) {
            super.init(network: network, family: family, flags: flags)
        }

        private init(
            _ listener: StreamSocket, flags: UInt32, _ id: TCPConnectionID,
            _ handle: TCPConnectionHandle
        ) {
            state = .connected(id, handle)
            super.init(network: listener.network, family: listener.family, flags: flags)
            isOnlyIPv6 = listener.isOnlyIPv6
            network.set(id, self)
        }

        private static func errno(_ failure: TCPFailure) -> Errno {
            switch failure {
            case .reset, .aborted: .connectionReset
            case .refused: .connectionRefused
            case .timedOut: .timedOut
            case .unreachable: .hostUnreachable
            }
        }

        // MARK: Opening

        override func bind(_ address: ProgramAddress) throws(Errno) {
            guard !isBound, case .idle = state else { throw .invalid }
            try checkBinding(address)
            try takePort(address)
        }

        override func listen(backlog: Int) throws(Errno) {
            if case .listening = state { return }
            guard case .idle = state else { throw .invalid }
            if !isBound { try takePort(bound) }
            do throws(TCPError) {
                let id = try network.stack.listen(
                    address: stackAddress(bound.address), port: bound.port,
                    backlog: min(max(backlog, 1), 4096))
                state = .listening(id)
                network.set(id, self)
            } catch {
                throw error == .addressInUse ? .addressInUse : .noBuffers
            }
        }

        override var isListening: Bool {
            if case .listening = state { return true }
            return false
        }

        private var hasClient: Bool {
            if accepted == nil, case .listening(let id) = state {
                accepted = network.stack.accept(id)
            }
            return accepted != nil
        }

        override func accept(flags: UInt32) throws(Errno) -> SocketFile {
            guard isListening else { throw .invalid }
            while hasClient, let id = accepted {
                accepted = nil
                if let handle = network.stack.handle(id) {
                    return StreamSocket(self, flags: flags, id, handle)
                }
            }
            throw .again
        }

        override var isConnecting: Bool {
            if case .connecting = state { return true }
            return false
        }

        override func connect(_ address: ProgramAddress) throws(Errno) {
            switch state {
            case .idle:
                let destination = try destination(address)
                do throws(TCPError) {
                    let id = try network.stack.connect(to: destination, now: network.now)
                    state = .connecting(id)
                    network.set(id, self)
                } catch {
                    throw error == .invalidAddress ? .networkUnreachable : .addressNotAvailable
                }
                throw .again
            case .connecting:
                try finishConnecting()
                if case .connecting = state { throw .again }
            case .connected: throw .isConnected
            case .listening: throw .invalid
            }
        }

        /// Looks whether the connection stands, or has failed.
        private func finishConnecting() throws(Errno) {
            guard case .connecting(let id) = state else { return }
            let status = network.stack.status(id)
            if let failure = status.failure {
                close()
                state = .idle
                pendingError = Self.errno(failure).code
                throw Self.errno(failure)
            }
            if status.state != .synSent, status.state != .synReceived,
                let handle = network.stack.handle(id)
            {
                state = .connected(id, handle)
                if let noDelay { setNoDelay(noDelay) }
            }
        }

        private var pendingError: Int32 = 0

        override func takeError() -> Int32 {
            try? finishConnecting()
            if pendingError == 0, case .connected(let id, _) = state,
                let failure = network.stack.status(id).failure
            {
                return Self.errno(failure).code
            }
            defer { pendingError = 0 }
            return pendingError
        }

        // MARK: Octets

        @inline(__always)
        private func connection() throws(Errno) -> (TCPConnectionID, TCPConnectionHandle) {
            if case .connected(let id, let handle) = state { return (id, handle) }
            return try lateConnection()
        }

        @inline(never)
        private func lateConnection() throws(Errno) -> (TCPConnectionID, TCPConnectionHandle) {
            if case .connecting = state { try finishConnecting() }
            switch state {
            case .connected(let id, let handle): return (id, handle)
            case .connecting: throw .again
            default: throw .notConnected
            }
        }

        override func read(to address: UInt64, _ count: Int) throws(Errno) -> Int {
            try take(to: address, count, peeks: false)
        }

        override func receive(
            to address: UInt64, _ count: Int, peeks: Bool
        ) throws(Errno) -> (count: Int, length: Int, peer: ProgramAddress?) {
            let done = try take(to: address, count, peeks: peeks)
            return (done, done, nil)
        }

        private func take(
            to address: UInt64, _ count: Int, peeks: Bool
        ) throws(Errno) -> Int {
            let (_, handle) = try connection()
            try UserMemory.checkWritable(address, count)
            guard count > 0, !hasShutReading else { return 0 }
            switch network.stack.readiness(handle) {
            case .ended: return 0
            case .failed(let failure): throw Self.errno(failure)
            case .nothing: throw .again
            case .octets: break
            }
            var done = 0
            repeat {
                // The addresses were checked as a whole, so a copy does not fail.
                let copied = network.stack.withReceived(handle) { bytes in
                    let part = min(bytes.byteCount, count - done)
                    try? UserMemory.copy(
                        bytes.extracting(0..<part), to: address &+ UInt64(done))
                    return part
                }
                done += copied
                if peeks || copied == 0 { break }
                network.stack.consume(handle, copied, now: network.now)
            } while done < count && network.stack.receivedCount(handle) > 0
            return done
        }

        override func write(from address: UInt64, _ count: Int) throws(Errno) -> Int {
            try UserMemory.withBytes(address, count) { (bytes) throws(Errno) in try put(bytes) }
        }

        override func put(_ bytes: RawSpan) throws(Errno) -> Int {
            let (id, handle) = try connection()
            guard !hasShutWriting else { throw .brokenPipe }
            let done = network.stack.send(handle, bytes)
            if done > 0 {
                network.flushLater(id)
                return done
            }
            return bytes.byteCount > 0 ? try refuse(id) : 0
        }

        /// Why nothing could be sent.
        @inline(never)
        private func refuse(_ id: TCPConnectionID) throws(Errno) -> Int {
            let status = network.stack.status(id)
            if let failure = status.failure {
                throw failure == .reset ? .connectionReset : Self.errno(failure)
            }
            if status.state == .closed || status.finished { throw .brokenPipe }
            throw .again
        }

        override func send(
            from address: UInt64, _ count: Int, to peer: ProgramAddress?
        ) throws(Errno) -> Int { try write(from: address, count) }

        override func events(_ wanted: UInt32) -> UInt32 {
            if case .connecting = state { try? finishConnecting() }
            switch state {
            case .idle:
                return PollEvents.hangUp | PollEvents.output
                    | (pendingError != 0 ? PollEvents.error : 0)
            case .listening: return hasClient ? PollEvents.input : 0
            case .connecting: return 0
            case .connected(let id, let handle):
                var events: UInt32 = 0
                switch network.stack.readiness(handle) {
                case .octets: events = PollEvents.input
                case .nothing: break
                case .ended:
                    events = PollEvents.input | PollEvents.readHangUp
                    if hasShutWriting { events |= PollEvents.hangUp }
                case .failed:
                    events =
                        PollEvents.input | PollEvents.output | PollEvents.error
                        | PollEvents.hangUp | PollEvents.readHangUp
                }
                if hasShutReading { events |= PollEvents.input | PollEvents.readHangUp }
                if wanted & PollEvents.anyOutput != 0,
                    hasShutWriting || network.stack.sendRoom(id) > 0
                {
                    events |= PollEvents.output
                }
                return events
            }
        }

        override func control(_ request: UInt32, _ argument: UInt64) throws(Errno) -> Int64 {
            guard request == 0x541B else { throw .notTerminal }  // FIONREAD
            let (_, handle) = try connection()
            try UserMemory.store(Int32(network.stack.receivedCount(handle)), at: argument)
            return 0
        }

        // MARK: Ending

        override func shutDown(reading: Bool, writing: Bool) throws(Errno) {
            if case .listening(let id) = state {
                // Whoever waits for a client learns that none will come (EINVAL).
                if reading { stopListening(id) }
                return
            }
            let (id, _) = try connection()
            if reading { hasShutReading = true }
            if writing, !hasShutWriting {
                hasShutWriting = true
                network.stack.finish(id, now: network.now)
            }
            notify()
        }

        private func stopListening(_ id: TCPListenerID) {
            if let accepted { network.stack.release(accepted) }
            accepted = nil
            network.stack.closeListener(id)
            network.set(id, nil)
            state = .idle
            notify()
        }

        override func close() {
            returnPort()
            switch state {
            case .idle: break
            case .listening(let id): stopListening(id)
            case .connecting(let id), .connected(let id, _):
                network.set(id, nil)
                if !hasShutWriting { network.stack.finish(id, now: network.now) }
                network.stack.release(id)
            }
            state = .idle
        }

        override func setNoDelay(_ value: Bool) {
            noDelay = value
            if case .connected(let id, _) = state {
                network.stack.setOptions(id, TCPOptions(noDelay: value), now: network.now)
            }
        }

        override var local: ProgramAddress {
            switch state {
            case .connected(let id, _), .connecting(let id):
                ProgramAddress(network.stack.status(id).local)
            default: bound
            }
        }

        override var peer: ProgramAddress? {
            try? finishConnecting()
            if case .connected(let id, _) = state {
                return ProgramAddress(network.stack.status(id).remote)
            }
            return nil
        }
    }
#endif
