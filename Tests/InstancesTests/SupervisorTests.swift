// One instance's life under its supervisor, with scripts in the place of machines.

import Foundation
import SwiftletBuild
import SystemPackage
import Testing

@testable import SwiftletInstances

@Suite("Supervisor")
struct SupervisorTests {
    @Test("A machine that ends by itself: console, exit code, record, free lock")
    func plain() async throws {
        let life = try Life("echo one; echo two; exit 7")
        #expect(try await life.code == 7)
        let instance = try life.instance
        #expect(!instance.isAlive)
        #expect(instance.state.phase == .exited)
        #expect(instance.state.exitCode == 7)
        #expect(instance.state.machine == nil)
        #expect(instance.end()?.wait() == 7)
        #expect(try life.console() == "one\ntwo\n")
        #expect(!instance.tell(.kill))
    }

    @Test("A machine may run on every processor that its supervisor may")
    func processors() async throws {
        let life = try Life("grep Cpus_allowed: /proc/self/status")
        #expect(try await life.code == 0)
        let own = String(decoding: try FileSystem.read("/proc/self/status"), as: UTF8.self)
            .split(separator: "\n").first { $0.hasPrefix("Cpus_allowed:") }
        #expect(try life.console() == "\(try #require(own))\n")
    }

    @Test("A guest's exit code is the last octet of its exit file; none is a death")
    func exitFile() async throws {
        #expect(try await Life("printf '\\003' > exit", exitFile: true).code == 3)
        #expect(try await Life("true", exitFile: true).code == 134)
        let failed = try Life("echo no such device >&2; exit 1", exitFile: true)
        #expect(try await failed.code == 125)
        #expect(try failed.instance.state.reason == "sh ended with 1: no such device")
    }

    @Test("One that is asked to finish does so by its own doing")
    func stop() async throws {
        let life = try Life("echo ready; head -c 1 | od -An -tx1; exit 5")
        try await life.waitForConsole("ready")
        let end = try life.instance.end()
        try life.instance.tell(.stop(seconds: 1000))
        #expect(try await life.code == 5)
        #expect(end?.wait() == 5)
        #expect(try life.console() == "ready\n 03\n")
        #expect(try life.instance.state.reason == nil)
    }

    @Test("One that does not finish in time is killed")
    func deaf() async throws {
        let life = try Life("echo ready; exec sleep 1000")
        try await life.waitForConsole("ready")
        try life.instance.tell(.stop(seconds: 0.05))
        #expect(try await life.code == 137)
        #expect(try life.instance.state.reason == "killed, as it did not finish in time")
    }

    @Test("One that does not listen is stopped at once")
    func notListening() async throws {
        let life = try Life("echo ready; exec sleep 1000", listens: false)
        try await life.waitForConsole("ready")
        try life.instance.tell(.stop(seconds: 1000))
        #expect(try await life.code == 143)
    }

    @Test("Kill does not wait, not even for one that is paused or about to finish")
    func kill() async throws {
        let life = try Life("echo ready; exec sleep 1000")
        try await life.waitForConsole("ready")
        try life.instance.tell(.stop(seconds: 1000))
        _ = try await life.wait(for: "stopping") { $0.state.phase == .stopping }
        try life.instance.tell(.kill)
        #expect(try await life.code == 137)
        #expect(try life.instance.state.reason == "killed")
    }

    @Test("Pause halts the machine, resume lets it go on; a paused one can be stopped")
    func pause() async throws {
        func status(_ process: Int32?) -> Character? {
            let stat = try? FileSystem.read(FilePath("/proc/\(process ?? 0)/stat"))
            return String(decoding: stat ?? [], as: UTF8.self).split(separator: ")").last?
                .dropFirst()
                .first
        }
        let life = try Life("echo ready; head -c 1 >/dev/null; exit 4")
        try await life.waitForConsole("ready")
        let machine = try life.instance.state.machine
        try life.instance.tell(.pause)
        _ = try await life.wait(for: "paused") { $0.state.phase == .paused }
        _ = try await life.wait(for: "a halt") { _ in status(machine) == "T" }
        try life.instance.tell(.resume)
        _ = try await life.wait(for: "running") { $0.state.phase == .running }
        _ = try await life.wait(for: "going on") { _ in status(machine) == "S" }
        try life.instance.tell(.pause)
        _ = try await life.wait(for: "paused") { $0.state.phase == .paused }
        try life.instance.tell(.stop(seconds: 1000))
        #expect(try await life.code == 4)
    }

    @Test("on-failure starts again so many times, and says so in the log")
    func onFailure() async throws {
        let life = try Life("echo again; exit 9", restart: .onFailure(limit: 3))
        #expect(try await life.code == 9)
        let instance = try life.instance
        #expect(instance.state.restarts == 3)
        let console = try life.console()
        #expect(console.components(separatedBy: "again\n").count == 5, "\(console)")
        #expect(console.contains("it is started again in"))
        #expect(try await Life("exit 0", restart: .onFailure(limit: nil)).code == 0)
    }

    @Test("always starts again after every end, but the one that was asked for")
    func always() async throws {
        let life = try Life(
            "echo x >> runs; test $(wc -l < runs) -lt 3 && exit 0; head -c 1 >/dev/null; exit 6",
            restart: .always)
        _ = try await life.wait(for: "the third start") {
            $0.state.restarts == 2 && $0.state.phase == .running
        }
        try life.instance.tell(.stop(seconds: 1000))
        #expect(try await life.code == 6)
    }

    @Test("One that waits for its next start can be stopped, too")
    func stopWhileWaiting() async throws {
        let life = try Life("exit 2", restart: .always, shortestWait: .seconds(1000))
        _ = try await life.wait(for: "the wait") { $0.state.phase == .restarting }
        try life.instance.tell(.stop(seconds: 1000))
        #expect(try await life.code == 2)
    }

    @Test("Restart asks, and starts anew without counting")
    func restart() async throws {
        let life = try Life("echo ready; head -c 1 >/dev/null; exit 0")
        try await life.waitForConsole("ready\n")
        let first = try life.instance.state.machine
        try life.instance.tell(.restart(seconds: 1000))
        try await life.waitForConsole("ready\nready\n")
        let now = try life.instance
        #expect(now.state.machine != first)
        #expect(now.state.restarts == 0)
        try life.instance.tell(.stop(seconds: 1000))
        #expect(try await life.code == 0)
    }

    @Test("Who asked for the end gets it, whatever somebody else asks for afterwards")
    func stopBeforeRestart() async throws {
        let life = try Life("test -e again && exit 9; touch again; head -c 1 >/dev/null; exit 5")
        _ = try await life.wait(for: "running") { $0.state.phase == .running }
        try life.tell(.stop(seconds: 1000), .restart(seconds: 1000))
        #expect(try await life.code == 5)
    }

    @Test("After the end nothing is obeyed, even if it was asked for together with the end")
    func restartBehindStop() async throws {
        let life = try Life(
            "test -e again && exit 0; touch again; exit 2", restart: .onFailure(limit: nil),
            shortestWait: .seconds(1000))
        _ = try await life.wait(for: "the wait") { $0.state.phase == .restarting }
        try life.tell(.stop(seconds: 1000), .restart(seconds: 1000))
        #expect(try await life.code == 2)
    }

    @Test("One that removes itself leaves nothing but its exit code")
    func removesItself() async throws {
        let life = try Life("head -c 1 >/dev/null; exit 8", removes: true)
        _ = try await life.wait(for: "running") { $0.state.phase == .running }
        let end = try #require(try life.instance.end())
        try life.instance.tell(.stop(seconds: 1000))
        // Without holding a thread of the pool, which the machine's own task may need.
        for _ in 0..<2000 where !end.hasCome { try await Task.sleep(for: .milliseconds(10)) }
        #expect(end.hasCome && end.wait() == 8)
        #expect(try await life.code == 8)
        #expect(try FileSystem.names(in: life.temporary.store.root) == [".lock"])
    }

    @Test("A console that floods stays within the log's bounds, and can be stopped")
    func flood() async throws {
        let life = try Life("exec yes 0123456789012345678901234567890123456789", listens: false)
        let folder = try life.instance.folder.path
        _ = try await life.wait(for: "a second file") { _ in
            FileSystem.isFile(folder.appending("console.log.1"))
        }
        try life.instance.tell(.stop(seconds: 1000))
        #expect(try await life.code == 143)
        for name in ["console.log", "console.log.1"] {
            let size = try #require(FileSystem.status(folder.appending(name))?.size)
            #expect(size <= ConsoleLogWriter.standardSize + ConsoleLogWriter.longestLine)
        }
    }

    @Test("A console that a stray process holds open does not hold up the end")
    func strayProcess() async throws {
        let life = try Life("sleep 1000 & echo $! > stray; echo said; exit 3")
        #expect(try await life.code == 3)
        #expect(try life.console() == "said\n")
        let text = try FileSystem.read(life.instance.folder.path.appending("stray"))
        let stray = try #require(
            Int32(String(decoding: text, as: UTF8.self).trimmingCharacters(in: .newlines)))
        Foundation.kill(stray, SIGKILL)
    }

    @Test("What cannot be started is told, and recorded")
    func missingProgram() async throws {
        let life = try Life("true", program: "no-such-monitor")
        let error = await #expect(throws: ToolError.self) { try await life.code }
        #expect(error?.exitCode == 127)
        #expect(try life.instance.state.phase == .exited)
        #expect(try life.instance.state.exitCode == 127)
    }

    @Test("The machine inherits nothing but its three descriptors")
    func descriptors() async throws {
        let life = try Life("ls -l /proc/self/fd | wc -l")
        #expect(try await life.code == 0)
        // 0, 1, 2, the folder that ls reads, and the line with the total.
        #expect(try life.console() == "5\n")
    }
}
