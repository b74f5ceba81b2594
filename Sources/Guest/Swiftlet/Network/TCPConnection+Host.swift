// Connecting to a host by its name: all its addresses, one a little after the other (RFC 8305).
//
// A file of its own: the linker keeps or drops the asynchronous functions of a file together.

import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    extension TCPConnection {
        /// Opens a connection to a host, by name or address. IPv6 and IPv4 addresses are asked for
        /// at once, and tried one a quarter of a second after the other; the first that answers is
        /// taken, and the others are closed. Cancelling the task ends all of it.
        ///
        /// - Throws: `ConnectError`, with the host and the cause.
        nonisolated(nonsending) public static func connect(
            host: String, port: UInt16, deadline: Instant? = nil
        ) async throws(ConnectError) -> TCPConnection {
            do throws(ConnectError.Cause) {
                let octets = [UInt8](host.utf8)
                let end = deadline?.nanoseconds ?? .max
                let connector: HostConnector
                if let literal = NameLookup.literal(octets.span.bytes) {
                    connector = HostConnector(try network(), port: port, literal: literal)
                } else {
                    connector = try await resolving(octets, port: port, until: end)
                }
                return try await connector.run(until: end)
            } catch {
                throw ConnectError(host: host, port: port, cause: error)
            }
        }

        private static func network() throws(ConnectError.Cause) -> Network {
            do throws(NetworkError) {
                return try Network.shared()
            } catch {
                throw .network(error)
            }
        }

        nonisolated(nonsending) private static func resolving(
            _ host: [UInt8], port: UInt16, until end: UInt64
        ) async throws(ConnectError.Cause) -> HostConnector {
            do throws(ResolverError.Cause) {
                let (lookup, name, servers) = try await Resolver.prepare(host, until: end)
                return HostConnector(lookup, name, port: port, servers)
            } catch {
                throw .name(error)
            }
        }
    }

    /// One race for a connection: questions in flight, attempts under way, and the task that waits.
    private final class HostConnector: @unchecked Sendable {
        private let network: Network
        private let port: UInt16
        private var race: ConnectionRace
        private let lookup: NameLookup?
        private var six: DNSTicket?
        private var four: DNSTicket?
        private var attempts: [Task<Void, Never>] = []
        private var winner: TCPConnection?
        /// What the last attempt came to that had a route.
        private var failure = NetworkError.unreachable
        private var sixCause = ResolverError.Cause.noData
        private var fourCause = ResolverError.Cause.noData
        private var isOver = false
        /// Where the task waits for whatever happens.
        private var wait = WaitID.none

        init(_ network: Network, port: UInt16, literal: IPAddress) {
            self.network = network
            self.port = port
            lookup = nil
            race = ConnectionRace(awaitsSix: false)
            race.resolvedFour([literal], now: network.now)
        }

        init(_ lookup: NameLookup, _ name: DomainName, port: UInt16, _ servers: [SocketAddress]) {
            network = lookup.network
            self.lookup = lookup
            self.port = port
            race = ConnectionRace(prefersSix: lookup.network.prefersSix)
            let sixes = lookup.begin(DNSQuestion(name, .aaaa), servers)
            let fours = lookup.begin(DNSQuestion(name, .a), servers)
            switch sixes {
            case .result(let result): takeSix(result)
            case .asked(let ticket, _): six = ticket
            }
            switch fours {
            case .result(let result): takeFour(result)
            case .asked(let ticket, _): four = ticket
            }
        }

        /// Runs to the first connection; whatever else is under way then ends.
        nonisolated(nonsending) func run(
            until deadline: UInt64
        ) async throws(ConnectError.Cause) -> TCPConnection {
            defer { end() }
            while true {
                switch step() {
                case .won(let connection): return connection
                case .failed(let cause): throw cause
                case .wait(let moment):
                    let end = min(moment.nanoseconds, deadline)
                    let result = await Waits.cancellableWait(until: end) { register($0) }
                    unregister()
                    if result == .cancelled { throw .network(.cancelled) }
                    if network.now.nanoseconds >= deadline { throw .network(.timedOut) }
                }
            }
        }

        private enum Step {
            case won(TCPConnection)
            case failed(ConnectError.Cause)
            case wait(Instant)
        }

        /// All that can be done without waiting.
        @inline(never) private func step() -> Step {
            if let ticket = six, let result = lookup?.result(ticket) {
                six = nil
                lookup?.leave(ticket, .none)
                takeSix(result)
            }
            if let ticket = four, let result = lookup?.result(ticket) {
                four = nil
                lookup?.leave(ticket, .none)
                takeFour(result)
            }
            while true {
                if let winner { return .won(winner) }
                switch race.nextAction(now: network.now) {
                case .attempt(let address): attempt(address)
                case .wait(let moment): return .wait(moment)
                case .failed:
                    return .failed(
                        race.attempts > 0
                            ? .network(failure) : .name(Resolver.worse(fourCause, sixCause)))
                }
            }
        }

        private func takeSix(_ result: DNSResult) {
            sixCause = Self.cause(result)
            race.resolvedSix(Self.addresses(result), now: network.now)
        }

        private func takeFour(_ result: DNSResult) {
            fourCause = Self.cause(result)
            race.resolvedFour(Self.addresses(result), now: network.now)
        }

        private static func addresses(_ result: DNSResult) -> [IPAddress] {
            if case .answer(.addresses(let addresses)) = result { return addresses }
            return []
        }

        private static func cause(_ result: DNSResult) -> ResolverError.Cause {
            switch result {
            case .answer(.noSuchName): .noSuchName
            case .answer: .noData
            case .failure(let failure): ResolverError.Cause(failure)
            }
        }

        private func attempt(_ address: IPAddress) {
            let remote = SocketAddress(address, port: port)
            attempts.append(
                Task {
                    do throws(NetworkError) {
                        let connection = try await TCPConnection.connect(to: remote)
                        // The second one is closed by being let go of.
                        if self.winner == nil, !self.isOver { self.winner = connection }
                    } catch {
                        // Where no route leads says less than what a host has said.
                        if error != .unreachable { self.failure = error }
                        self.race.attemptFailed(now: self.network.now)
                    }
                    Waits.wake(self.wait)
                })
        }

        private func register(_ id: WaitID) {
            wait = id
            if let six { lookup?.register(six, id) }
            if let four { lookup?.register(four, id) }
        }

        private func unregister() {
            if let six { lookup?.unregister(six, wait) }
            if let four { lookup?.unregister(four, wait) }
            wait = .none
        }

        private func end() {
            isOver = true
            winner = nil
            if let six { lookup?.leave(six, .none) }
            if let four { lookup?.leave(four, .none) }
            for attempt in attempts { attempt.cancel() }
            attempts = []
        }
    }
#endif
