// Another client: is served all the while, whatever others do to the guest.

import Glibc
import Synchronization

/// Asks the guest for a page again and again, over a connection that stays open and over new ones.
final class Bystander: Sendable {
    private let isStopped = Atomic<Bool>(false)
    private let served = Atomic<Int>(0)
    private let worker: Mutex<Worker<Void>?> = Mutex(nil)

    init(_ place: Place) throws {
        let worker = try Worker {
            try self.ask(place)
        }
        self.worker.withLock { $0 = worker }
    }

    /// Ends it.
    ///
    /// - Returns: how many requests were answered.
    /// - Throws: if one was not.
    @discardableResult
    func stop() throws -> Int {
        isStopped.store(true, ordering: .relaxed)
        let worker = self.worker.withLock { worker in
            defer { worker = nil }
            return worker
        }
        try worker?.result()
        return served.load(ordering: .relaxed)
    }

    private func ask(_ place: Place) throws {
        let lasting = try Client(place)
        while !isStopped.load(ordering: .relaxed) {
            for client in [lasting, try Client(place)] {
                let answer = try client.get("/")
                guard answer.status == 200, answer.text == "fixture\n" else {
                    throw MachineFailure(description: "the bystander got \(answer)")
                }
                served.add(1, ordering: .relaxed)
            }
            usleep(10_000)
        }
    }
}
