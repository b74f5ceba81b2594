// What fuzzing has found, and where it began, run again.

import SwiftletTestSupport
import Testing

@Suite struct NetworkReplayTests {
    @Test(
        arguments: [
            NetworkFuzzing.self, DHCPFuzzing.self, DHCPv6Fuzzing.self, DNSAnswerFuzzing.self,
            DNSResolverFuzzing.self,
        ] as [any FuzzTarget.Type])
    func seedsAndCorpus(target: any FuzzTarget.Type) {
        #expect(target.replay() > 0, "\(target.name) has no corpus")
    }

    @Test(
        arguments: [
            DHCPv6Fuzzing.self, DNSAnswerFuzzing.self, DNSResolverFuzzing.self,
        ] as [any FuzzTarget.Type])
    func mutations(target: any FuzzTarget.Type) {
        target.mutate(count: 20_000, seed: 11)
    }
}
