// Names for applications: addresses of hosts.

import SwiftletMachine
import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// The addresses of a host; see `Resolver.addresses`.
    public func resolve(
        _ host: String, deadline: Instant? = nil
    ) async throws(ResolverError) -> [IPAddress] {
        try await Resolver.addresses(of: host, deadline: deadline)
    }

    /// The Domain Name System (RFC 1035) as a client: servers that DHCP or `swiftlet run --dns`
    /// names are asked, and answers kept for as long as they hold.
    ///
    ///     let addresses = try await resolve("www.example.org")
    public enum Resolver {
        /// The servers to ask, in that order; empty: those that the machine was told of.
        public static var servers: [SocketAddress] {
            get { NameServers.chosen }
            set { NameServers.chosen = newValue }
        }

        /// A host's addresses, those first that this machine can reach. An address in place of a
        /// name is itself; `localhost` is this machine; no domain is put behind a short name.
        ///
        /// - Throws: `ResolverError`, with the name and the cause: `.noSuchName`, `.noData`,
        ///   `.timedOut`, `.cancelled`, …
        nonisolated(nonsending) public static func addresses(
            of host: String, deadline: Instant? = nil
        ) async throws(ResolverError) -> [IPAddress] {
            do throws(ResolverError.Cause) {
                return try await find(host, until: deadline?.nanoseconds ?? .max)
            } catch {
                throw ResolverError(name: host, cause: error)
            }
        }

        /// Forgets what was learnt, as after a move to another network.
        public static func forget() { (try? NameLookup.shared())?.forget() }

        // MARK: The way to an answer

        nonisolated(nonsending) private static func find(
            _ host: String, until deadline: UInt64
        ) async throws(ResolverError.Cause) -> [IPAddress] {
            let octets = [UInt8](host.utf8)
            if let literal = NameLookup.literal(octets.span.bytes) { return [literal] }
            let (lookup, name, servers) = try await prepare(octets, until: deadline)
            // Both are asked for before either is waited for.
            let six = lookup.begin(DNSQuestion(name, .aaaa), servers)
            let four = lookup.begin(DNSQuestion(name, .a), servers)
            let fours = await addresses(lookup, four, until: deadline)
            let sixes = await addresses(lookup, six, until: deadline)
            let found =
                lookup.network.prefersSix
                ? sixes.addresses + fours.addresses : fours.addresses + sixes.addresses
            if found.isEmpty { throw Self.worse(fours.cause, sixes.cause) }
            return found
        }

        /// Waits for one type's addresses; none, with the cause, if there are none.
        nonisolated(nonsending) private static func addresses(
            _ lookup: NameLookup, _ state: DNSLookup, until deadline: UInt64
        ) async -> (addresses: [IPAddress], cause: ResolverError.Cause) {
            do throws(ResolverError.Cause) {
                let answer: DNSAnswer
                switch state {
                case .result(let result): answer = try NameLookup.answer(result)
                case .asked(let ticket, _):
                    answer = try await lookup.finish(ticket, until: deadline)
                }
                if case .addresses(let addresses) = answer { return (addresses, .noData) }
                return ([], .noData)
            } catch {
                return ([], error)
            }
        }
    }

    extension Network {
        /// Whether IPv6 comes before IPv4 (RFC 6724 §5, rule 5): there is an address for the world,
        /// which neither the link's nor a site's is.
        var prefersSix: Bool {
            for own in stack.addressesIPv6
            where !own.address.isLinkLocal && !own.address.isSiteLocal {
                return true
            }
            return false
        }
    }
#endif
