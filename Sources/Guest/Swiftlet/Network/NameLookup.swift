// The resolver on the machine's sockets: a task for each question in flight, and those who wait.

import SwiftletMachine
import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// The one resolver of the machine, with its cache.
    final class NameLookup: @unchecked Sendable {
        nonisolated(unsafe) private static var instance: NameLookup?

        let network: Network
        private var resolver = DNSResolver()
        private var waiters: [(ticket: DNSTicket, wait: WaitID)] = []
        private var drivers: [(ticket: DNSTicket, task: Task<Void, Never>)] = []
        /// What servers of DHCPv6 have told.
        var stateless: DHCPv6Client
        let began: Instant

        static func shared() throws(NetworkError) -> NameLookup {
            if let instance { return instance }
            let lookup = NameLookup(try Network.shared())
            instance = lookup
            return lookup
        }

        private init(_ network: Network) {
            self.network = network
            began = network.now
            stateless = network.stack.makeDHCPv6Client()
        }

        func forget() { resolver.forget() }

        /// An address that is one already: nothing has to be asked.
        static func literal(_ host: RawSpan) -> IPAddress? {
            IPAddress(parsing: host)
        }

        // MARK: Asking

        /// Begins to ask, or finds the answer at once. What is `asked` has to be left.
        func begin(_ question: DNSQuestion, _ servers: [SocketAddress]) -> DNSLookup {
            let lookup = resolver.look(up: question, servers: servers, now: network.now)
            if case .asked(let ticket, isNew: true) = lookup {
                drivers.append((ticket, Task { await self.drive(ticket) }))
            }
            return lookup
        }

        func result(_ ticket: DNSTicket) -> DNSResult? { resolver.result(ticket) }

        /// Has `wait` woken once there is a result.
        func register(_ ticket: DNSTicket, _ wait: WaitID) { waiters.append((ticket, wait)) }

        /// A wait that has ended is not to be woken.
        func unregister(_ ticket: DNSTicket, _ wait: WaitID) {
            waiters.removeAll { $0.ticket == ticket && $0.wait == wait }
        }

        /// Loses interest; the last one who does ends the question.
        func leave(_ ticket: DNSTicket, _ wait: WaitID) {
            unregister(ticket, wait)
            guard resolver.leave(ticket) else { return }
            for driver in drivers where driver.ticket == ticket { driver.task.cancel() }
        }

        // MARK: One question

        private func nextAction(_ ticket: DNSTicket) -> DNSAction {
            var random: UInt64 = 0
            withUnsafeMutableBytes(of: &random) { Randomness.fill($0) }
            return resolver.nextAction(ticket, now: network.now, random: random)
        }

        /// Does what the resolver says until the question has ended.
        nonisolated(nonsending) private func drive(_ ticket: DNSTicket) async {
            // The newest attempt's; an older one's port is closed.
            var socket: (UDPSocket, server: SocketAddress)?
            var connection: TCPConnection?
            while true {
                switch nextAction(ticket) {
                case .finished:
                    return end(ticket)
                case .send(let message, let server):
                    connection = nil
                    socket = send(message, to: server).map { ($0, server) }
                    if socket == nil { resolver.noteUnreachable(ticket) }
                case .stream(let message, let server, let deadline):
                    socket = nil
                    connection = await Self.open(message, to: server, deadline)
                    if connection == nil { resolver.noteUnreachable(ticket) }
                case .wait(let deadline):
                    if let connection {
                        await receive(ticket, connection, deadline)
                    } else if let (socket, server) = socket {
                        await receive(ticket, socket, from: server, deadline)
                    }
                }
                // Whoever was interested has left: nothing else cancels this task.
                if Task.isCancelled { return end(ticket) }
            }
        }

        private func end(_ ticket: DNSTicket) {
            drivers.removeAll { $0.ticket == ticket }
            for waiter in waiters where waiter.ticket == ticket { Waits.wake(waiter.wait) }
            waiters.removeAll { $0.ticket == ticket }
        }

        /// A socket with a port of its own for one message; nil if nothing can be sent there.
        private func send(_ message: [UInt8], to server: SocketAddress) -> UDPSocket? {
            guard let socket = try? UDPSocket() else { return nil }
            do throws(NetworkError) {
                try socket.send(message, to: server)
            } catch {
                // A full card is as good as a lost datagram.
                if error != .tooMany { return nil }
            }
            return socket
        }

        nonisolated(nonsending) private func receive(
            _ ticket: DNSTicket, _ socket: UDPSocket, from server: SocketAddress,
            _ deadline: Instant
        ) async {
            switch await socket.arrival(until: deadline) {
            case .datagram(let datagram):
                resolver.receive(ticket, datagram.payload.span.bytes, from: datagram.sender)
            case .unreachable(let place):
                // Word of another place is nobody's who has seen the question.
                if place == server { resolver.noteUnreachable(ticket) }
            case .timedOut, .cancelled:
                break
            }
        }

        nonisolated(nonsending) private static func open(
            _ message: [UInt8], to server: SocketAddress, _ deadline: Instant
        ) async -> TCPConnection? {
            do throws(NetworkError) {
                let connection = try await TCPConnection.connect(to: server, deadline: deadline)
                try await connection.write(message, deadline: deadline)
                return connection
            } catch {
                return nil
            }
        }

        nonisolated(nonsending) private func receive(
            _ ticket: DNSTicket, _ connection: TCPConnection, _ deadline: Instant
        ) async {
            do throws(NetworkError) {
                if let octets = try await connection.read(deadline: deadline) {
                    resolver.receiveStream(ticket, octets.span.bytes)
                } else {
                    resolver.noteUnreachable(ticket)
                }
            } catch {
                if error != .timedOut { resolver.noteUnreachable(ticket) }
            }
        }
    }
#endif
