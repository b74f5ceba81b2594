// Runs the tests of a suite twice: their devices offer split queues, then packed ones.

import Testing

struct EachRing: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func scopeProvider(for test: Test, testCase: Test.Case?) -> EachRing? {
        testCase == nil ? nil : self
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        for isPacked in [false, true] {
            try await FakeDevice.$offersPackedRings.withValue(isPacked) { try await function() }
        }
    }
}

extension Trait where Self == EachRing {
    /// Each test runs with split and with packed queues.
    static var eachRing: EachRing { EachRing() }
}
