// A thread of its own: for what changes the thread it runs on, or waits in the kernel for long.

import Glibc

/// A thread that runs one function. The pool of Swift's tasks is small, and is not to be blocked.
final class Worker<R: Sendable>: @unchecked Sendable {
    private var thread = pthread_t()
    /// Written by the thread; read after it was joined.
    private var outcome: Result<R, any Error>?

    init(_ body: @escaping @Sendable () throws -> R) throws {
        let function = WorkerFunction { self.outcome = Result { try body() } }
        let context = Unmanaged.passRetained(function)
        let code = pthread_create(
            &thread, nil,
            {
                guard let context = $0 else { return nil }
                Unmanaged<WorkerFunction>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        guard code == 0 else {
            context.release()
            throw MachineFailure(description: "pthread_create: \(code)")
        }
    }

    /// Nobody waits for the thread.
    func detach() { pthread_detach(thread) }

    /// Waits for the thread's end. To be called once.
    func result() throws -> R {
        pthread_join(thread, nil)
        guard let outcome else { throw MachineFailure(description: "the thread has no result") }
        return try outcome.get()
    }
}

/// Runs `body` on a thread of its own, and waits for it as tasks wait.
func onThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
        do {
            let worker = try Worker { continuation.resume(with: Result { try body() }) }
            worker.detach()
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

/// What a C function gets handed.
private final class WorkerFunction {
    let run: () -> Void

    init(_ run: @escaping () -> Void) { self.run = run }
}
