// Asking, and waiting for the answer.
//
// A file of its own: the linker keeps or drops the asynchronous functions of a file together.

import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    extension NameLookup {
        /// Asks, and waits for the answer.
        nonisolated(nonsending) func ask(
            _ question: DNSQuestion, _ servers: [SocketAddress], until deadline: UInt64
        ) async throws(ResolverError.Cause) -> DNSAnswer {
            switch begin(question, servers) {
            case .result(let result): return try Self.answer(result)
            case .asked(let ticket, _): return try await finish(ticket, until: deadline)
            }
        }

        /// Waits for the answer to what was begun.
        nonisolated(nonsending) func finish(
            _ ticket: DNSTicket, until deadline: UInt64
        ) async throws(ResolverError.Cause) -> DNSAnswer {
            while true {
                if let result = self.result(ticket) {
                    leave(ticket, .none)
                    return try Self.answer(result)
                }
                var id = WaitID.none
                let result = await Waits.cancellableWait(until: deadline) {
                    id = $0
                    register(ticket, $0)
                }
                if result == .woken { continue }
                leave(ticket, id)
                throw result == .cancelled ? .cancelled : .timedOut
            }
        }

        static func answer(
            _ result: DNSResult
        ) throws(ResolverError.Cause) -> DNSAnswer {
            switch result {
            case .answer(.noSuchName): throw .noSuchName
            case .answer(.noData): throw .noData
            case .answer(let answer): return answer
            case .failure(let failure): throw ResolverError.Cause(failure)
            }
        }
    }
#endif
