// Restart policies, back-off, names and commands: values in, values out.

import SwiftletBuild
import Testing

@testable import SwiftletInstances

@Suite("Restart policies")
struct PolicyTests {
    @Test("Policies are read as docker reads them")
    func reading() throws {
        #expect(try RestartPolicy("no") == .no)
        #expect(try RestartPolicy("always") == .always)
        #expect(try RestartPolicy("on-failure") == .onFailure(limit: nil))
        #expect(try RestartPolicy("on-failure:3") == .onFailure(limit: 3))
        for text in ["", "yes", "on-failure:", "on-failure:0", "on-failure:-1", "always:3", "no:"] {
            #expect(throws: ToolError.self, "\(text)") { try RestartPolicy(text) }
        }
        for policy in [RestartPolicy.no, .always, .onFailure(limit: nil), .onFailure(limit: 7)] {
            #expect(try RestartPolicy(policy.text) == policy)
        }
    }

    @Test("Only failures count for on-failure, and only so many")
    func decisions() {
        #expect(!RestartPolicy.no.restarts(after: 1, restarts: 0))
        #expect(RestartPolicy.always.restarts(after: 0, restarts: 1000))
        #expect(!RestartPolicy.onFailure(limit: nil).restarts(after: 0, restarts: 0))
        #expect(RestartPolicy.onFailure(limit: nil).restarts(after: 139, restarts: 1000))
        #expect(RestartPolicy.onFailure(limit: 2).restarts(after: 1, restarts: 1))
        #expect(!RestartPolicy.onFailure(limit: 2).restarts(after: 1, restarts: 2))
    }

    @Test("The wait doubles up to its bound, and begins anew after a good life")
    func backOff() {
        var backOff = RestartBackOff()
        let short = Duration.milliseconds(5)
        #expect(
            (0..<4).map { _ in backOff.delay(afterLife: short) }
                == [100, 200, 400, 800].map { .milliseconds($0) })
        for _ in 0..<100 { _ = backOff.delay(afterLife: short) }
        #expect(backOff.delay(afterLife: short) == .seconds(60))
        #expect(backOff.delay(afterLife: .seconds(10)) == .milliseconds(100))
        #expect(backOff.delay(afterLife: short) == .milliseconds(200))
    }
}

@Suite("Names and commands")
struct InstanceNameTests {
    @Test("Names are names of folders and no more")
    func names() throws {
        for name in ["a", "0", "Web-1", "a_b.c", String(repeating: "x", count: 63)] {
            try InstanceName.check(name)
        }
        for name in [
            "", ".", "..", "-a", ".a", "a/b", "a b", "ü", "a\n", String(repeating: "x", count: 64),
        ] {
            let error = #expect(throws: ToolError.self, "\(name)") {
                try InstanceName.check(name)
            }
            #expect(error?.exitCode == ExitCode.usage)
        }
    }

    @Test("A made-up name is a good one, and free")
    func madeUp() throws {
        var generator = SystemRandomNumberGenerator()
        var taken: Set<String> = []
        for _ in 0..<2000 {
            let name = InstanceName.makeUp({ taken.contains($0) }, using: &generator)
            try InstanceName.check(name)
            #expect(taken.insert(name).inserted)
        }
    }

    @Test("Commands arrive as they were sent; anything else is none")
    func commands() {
        for command in [
            InstanceCommand.stop(seconds: 2.5), .restart(seconds: 0), .kill, .pause, .resume,
        ] {
            #expect(InstanceCommand(line: command.line) == command)
        }
        for line in ["", "stop", "stop x", "stop 1 2", "kill 9", "halt", "stop nan"] {
            #expect(InstanceCommand(line: line) == nil, "\(line)")
        }
    }
}
