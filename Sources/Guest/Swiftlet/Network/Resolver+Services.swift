// Where services are offered (RFC 2782).
//
// A file of its own: the linker keeps or drops the asynchronous functions of a file together.

import SwiftletNetwork
import _Concurrency

#if hasFeature(Embedded)
    extension Resolver {
        /// A host that offers a service.
        public struct Service: Sendable {
            public var host: String
            public var port: UInt16
        }

        /// The hosts that offer a service, such as `_http._tcp.example.org` (RFC 2782), in the
        /// order in which they are to be tried: by priority, and by chance and weight within one.
        ///
        /// - Throws: `ResolverError`. No host at all means that the service is not offered.
        nonisolated(nonsending) public static func services(
            _ name: String, deadline: Instant? = nil
        ) async throws(ResolverError) -> [Service] {
            do throws(ResolverError.Cause) {
                let answer = try await ask(name, .srv, until: deadline?.nanoseconds ?? .max)
                guard case .services(let services) = answer else { return [] }
                return DNSService.ordered(services) { UInt32.random(in: 0...$0) }
                    .map { Service(host: String(decoding: $0.host, as: UTF8.self), port: $0.port) }
            } catch {
                throw ResolverError(name: name, cause: error)
            }
        }

        nonisolated(nonsending) private static func ask(
            _ name: String, _ type: DNSQuestionType, until deadline: UInt64
        ) async throws(ResolverError.Cause) -> DNSAnswer {
            let (lookup, name, servers) = try await prepare([UInt8](name.utf8), until: deadline)
            return try await lookup.ask(DNSQuestion(name, type), servers, until: deadline)
        }
    }
#endif
