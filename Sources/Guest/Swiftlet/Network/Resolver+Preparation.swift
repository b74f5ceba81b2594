// What comes before every question: the name checked, the servers found.
//
// A file of its own: the linker keeps or drops the asynchronous functions of a file together.

import SwiftletNetwork
import _Concurrency

#if hasFeature(Embedded)
    extension Resolver {
        /// Of two reasons the one that tells more: "no such record" says little beside a failure.
        static func worse(
            _ one: ResolverError.Cause, _ other: ResolverError.Cause
        ) -> ResolverError.Cause {
            one == .noData ? other : one
        }

        /// The resolver, the name, and the servers to ask.
        nonisolated(nonsending) static func prepare(
            _ octets: [UInt8], until deadline: UInt64
        ) async throws(ResolverError.Cause) -> (NameLookup, DomainName, [SocketAddress]) {
            guard let name = DomainName(text: octets.span.bytes) else { throw .notAName }
            do throws(NetworkError) {
                let lookup = try NameLookup.shared()
                return (lookup, name, try await NameServers.find(lookup, until: deadline))
            } catch {
                throw error == .cancelled ? .cancelled : .network(error)
            }
        }
    }
#endif
