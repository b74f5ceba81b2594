// What fuzzing has found, and where it began, run again.

import SwiftletTestSupport
import Testing

@Suite struct VirtioReplayTests {
    @Test(arguments: [VirtioFuzzing.self, PackedVirtioFuzzing.self] as [any FuzzTarget.Type])
    func seedsAndCorpus(target: any FuzzTarget.Type) {
        #expect(target.replay() > 0, "\(target.name) has no corpus")
    }
}
