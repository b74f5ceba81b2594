// What must be undone when the runner ends early: machines stopped, the namespace removed.

import Dispatch
import Foundation
import Synchronization

enum Cleanup {
    private struct State {
        var next = 0
        var actions: [Int: @Sendable () -> Void] = [:]
    }

    private static let state = Mutex(State())

    static func add(_ action: @escaping @Sendable () -> Void) -> Int {
        state.withLock { state in
            state.next += 1
            state.actions[state.next] = action
            return state.next
        }
    }

    static func remove(_ id: Int) {
        state.withLock { state in state.actions[id] = nil }
    }

    /// Runs what is registered, the newest first, once.
    static func run() {
        let actions = state.withLock { state in
            defer { state.actions = [:] }
            return state.actions.sorted { $0.key > $1.key }.map(\.value)
        }
        for action in actions { action() }
    }

    /// From now on Ctrl-C and SIGTERM clean up before they end the process.
    static func installSignalHandlers() -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                Cleanup.run()
                exit(128 + number)
            }
            source.resume()
            return source
        }
    }
}
