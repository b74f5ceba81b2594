// What fuzzing has found, and where it began, run again.

import Foundation
import SwiftletTestSupport
import Testing

@Suite struct HTTPReplayTests {
    @Test(
        arguments: [
            RequestParserFuzzing.self, ChunkedDecoderFuzzing.self, ConnectionFuzzing.self,
            ResponseParserFuzzing.self, ClientFuzzing.self,
        ] as [any FuzzTarget.Type])
    func seedsAndCorpus(target: any FuzzTarget.Type) async {
        // On a thread of its own: a target may wait for a task, which needs one of the pool's.
        let count = await withCheckedContinuation { continuation in
            Thread { continuation.resume(returning: target.replay()) }.start()
        }
        #expect(count > 0, "\(target.name) has no corpus")
    }

    @Test func mutatedResponses() { ResponseParserFuzzing.mutate(count: 20_000, seed: 12) }

    @Test func mutatedServers() async {
        await withCheckedContinuation { continuation in
            Thread {
                ClientFuzzing.mutate(count: 2_000, seed: 13)
                continuation.resume()
            }.start()
        }
    }
}
