// An instance in the foreground: this process is its supervisor, and shows its console.

import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SwiftletInstances
import Synchronization
import SystemPackage

/// Runs an instance to its end before the user's eyes.
enum Foreground {
    /// - Parameter debug: where the image's debug file is expected.
    /// - Returns: the instance's exit code.
    static func run(_ claim: ClaimedInstance, debug: FilePath) async throws(ToolError) -> Int32 {
        let console = ForegroundConsole()
        let filter = ConsoleFilter(symboliser: Symboliser(debug: debug))
        let shown = Task {
            for await _ in console.news {
                let octets = console.take()
                if !octets.isEmpty { Terminal.write(await filter.pass(octets[...])) }
            }
            Terminal.write(await filter.finish())
        }
        let result = await withCheckedContinuation { continuation in
            // A thread of its own: it blocks for as long as the machine lives, and the machine
            // lives no longer than it does.
            start {
                let sink = Supervisor.Sink(
                    write: { console.add($0) }, hasRoom: { console.hasRoom },
                    complain: { Terminal.note($0) })
                let result: Result<(code: Int32, reason: String?), ToolError>
                do throws(ToolError) {
                    result = .success(
                        try Supervisor(claim, sink: sink, input: .standardInput).run())
                } catch {
                    claim.abandon()
                    result = .failure(error)
                }
                console.finish()
                continuation.resume(returning: result)
            }
        }
        await shown.value
        let end = try result.get()
        if let reason = end.reason {
            let hint =
                end.code == SwiftletBuild.ExitCode.died
                ? "The console above says why, or it was reset (a triple fault)." : nil
            Terminal.note(ToolError(reason, hint: hint).description)
        }
        return end.code
    }

    private static func start(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(ThreadBody(body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                argument.map { Unmanaged<ThreadBody>.fromOpaque($0).takeRetainedValue().body() }
                return nil
            }, box.toOpaque())
        precondition(code == 0, "no thread can be had")
        pthread_detach(thread)
    }

    private final class ThreadBody: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }
    }
}

/// The console between the thread that reads it and the task that shows it.
private final class ForegroundConsole: Sendable {
    /// Octets that may wait to be shown before the guest has to.
    private static let most = 1 << 20

    private let waiting = Mutex<[UInt8]>([])
    private let signal: AsyncStream<Void>.Continuation
    /// An element when there is something to be taken.
    let news: AsyncStream<Void>

    init() {
        (news, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    var hasRoom: Bool { waiting.withLock { $0.count < Self.most } }

    func add(_ octets: ArraySlice<UInt8>) {
        waiting.withLock { $0 += octets }
        signal.yield()
    }

    func take() -> [UInt8] {
        waiting.withLock { octets in
            let all = octets
            octets = []
            return all
        }
    }

    func finish() { signal.finish() }
}
