// A store in a folder of its own, and shell scripts in the place of machines.

import Foundation
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@testable import SwiftletInstances

/// A store that is removed with its test.
final class TemporaryStore: Sendable {
    let folder: FilePath
    let store: InstanceStore

    init() throws {
        folder = try FileSystem.makeTemporaryFolder()
        store = try InstanceStore(folder.appending("instances"))
    }

    deinit { FileSystem.remove(folder) }

    func claim(_ name: String = "one", restart: RestartPolicy = .no, removes: Bool = false) throws
        -> ClaimedInstance
    {
        var configuration = InstanceConfiguration(name: name, image: "/nowhere/image")
        configuration.restart = restart
        configuration.removesItself = removes
        return try store.create(configuration)
    }
}

/// A supervisor on a thread of its own, whose machine is a shell script.
struct Life: Sendable {
    let temporary: TemporaryStore
    let name: String
    private let end: Task<Int32, any Error>

    /// - Parameters:
    ///   - script: its standard input is the console's; its folder is the instance's.
    ///   - input: what is passed on to its descriptor 3.
    init(
        _ script: String, listens: Bool = true, restart: RestartPolicy = .no, removes: Bool = false,
        shortestWait: Duration = .milliseconds(1), exitFile: Bool = false,
        program: String = "/bin/sh", hasInput: Bool = false, input: FileDescriptor? = nil
    ) throws {
        let temporary = try TemporaryStore()
        let claim = try temporary.claim(restart: restart, removes: removes)
        self.temporary = temporary
        name = claim.configuration.name
        var backOff = RestartBackOff()
        backOff.shortest = shortestWait
        end = Task { [backOff] in
            try await withCheckedThrowingContinuation { continuation in
                let thread = Thread {
                    let folder = claim.folder.path
                    let command = MachineCommand(
                        program: program, arguments: ["-c", "cd '\(folder)'; \(script)"],
                        exitFile: exitFile ? folder.appending("exit") : nil, hasInput: hasInput)
                    let supervisor = Supervisor(claim, input: input, backOff: backOff) { _ in
                        Supervisor.Machine(command: command, listensForStop: listens)
                    }
                    do {
                        continuation.resume(returning: try supervisor.run().code)
                    } catch {
                        continuation.resume(throwing: error)
                    }
                }
                thread.start()
            }
        }
    }

    var instance: Instance { get throws { try temporary.store.find(name) } }

    /// The instance's exit code, once it has ended.
    var code: Int32 { get async throws { try await end.value } }

    /// Waits until `condition` holds of the instance.
    func wait(
        for what: Comment, _ condition: (Instance) throws -> Bool
    ) async throws -> Instance {
        for _ in 0..<2000 {
            let now = try instance
            if try condition(now) { return now }
            try await Task.sleep(for: .milliseconds(10))
        }
        let now = try instance
        Issue.record("\(what) did not come; \(now.state)")
        return now
    }

    /// Gives the supervisor commands that it finds together.
    func tell(_ commands: InstanceCommand...) throws {
        let control = try FileDescriptor.open(
            instance.folder.control, .writeOnly, options: .nonBlocking)
        let lines = commands.map { $0.line + "\n" }.joined()
        try control.closeAfter { _ = try control.writeAll(Array(lines.utf8)) }
    }

    /// The console so far.
    func console() throws -> String {
        var reader = ConsoleLogReader(try instance.folder.log)
        return String(decoding: reader.next() ?? [], as: UTF8.self)
    }

    /// Waits until the console holds `text`.
    func waitForConsole(_ text: String) async throws {
        _ = try await wait(for: "'\(text)'") { _ in try console().contains(text) }
    }
}
