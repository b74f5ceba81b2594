// The Swift runtime in the guest: concurrency, collections, time, packed files. A line a check.

import Swiftlet

enum RuntimeChecks {
    static func run() async {
        await check("tasks") { await tasks() }
        await check("groups") { await groups() }
        await check("actors") { await actors() }
        await check("actors-wait") { await actorsThatWait() }
        await check("async-let") { await asyncLet() }
        await check("stream") { await stream() }
        await check("sleep-order") { await sleepOrder() }
        await check("sleep-cancelled") { await sleepCancelled() }
        await check("cancel-storm") { await cancelStorm() }
        await check("continuation") { await continuation() }
        await check("typed-throws") { typedThrows() }
        await check("dictionary") { dictionary() }
        await check("strings") { strings() }
        await check("random") { random() }
        await check("heap") { heap() }
        await check("files") { files() }
        print("checks: done")
    }

    private static func check(_ name: StaticString, _ body: () async -> Bool) async {
        print(await body() ? "ok \(name)" : "FAILED \(name)")
    }

    private static func tasks() async -> Bool {
        let first = Task { 20 }
        let second = Task {
            await Task.yield()
            return 22
        }
        let detached = Task.detached { await first.value &* 2 }
        let sum = await first.value + second.value
        let doubled = await detached.value
        return sum == 42 && doubled == 40
    }

    private static func groups() async -> Bool {
        let sum = await withTaskGroup(of: Int.self) { group in
            for number in 1...100 {
                group.addTask {
                    if number % 7 == 0 { await sleep(for: .milliseconds(1)) }
                    return number
                }
            }
            var sum = 0
            for await number in group { sum += number }
            return sum
        }
        return sum == 5050
    }

    private actor Counter {
        private(set) var count = 0

        func add() async {
            let before = count
            count = before + 1
            await Task.yield()
        }
    }

    private static func actors() async -> Bool {
        let counter = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<200 { group.addTask { await counter.add() } }
        }
        return await counter.count == 200
    }

    private actor Ledger {
        private(set) var entries = 0
        private var next: Ledger?

        init(next: Ledger?) { self.next = next }

        /// Waits inside the actor, and inside another that it calls from there.
        func enter() async {
            let before = entries
            entries = before + 1
            if before % 3 == 0 { await sleep(for: .microseconds(200)) }
            await next?.enter()
            await Task.yield()
        }
    }

    /// Tasks that sleep in and out of actors, so that each is resumed in every way there is.
    private static func actorsThatWait() async -> Bool {
        let second = Ledger(next: nil)
        let first = Ledger(next: second)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask {
                    for _ in 0..<5 {
                        if number % 2 == 0 { await sleep(for: .microseconds(100)) }
                        await first.enter()
                        await sleep(for: .microseconds(50))
                        await second.enter()
                    }
                }
            }
        }
        let (entries, others) = (await first.entries, await second.entries)
        return entries == 200 && others == 400
    }

    /// Groups within groups, of tasks that wait in different ways, cancelled while they do.
    private static func cancelStorm() async -> Bool {
        let ledger = Ledger(next: nil)
        var ended = 0
        for round in 0..<10 {
            ended += await withTaskGroup(of: Int.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        await withTaskGroup(of: Void.self) { inner in
                            inner.addTask { await sleep(for: .seconds(3_600)) }
                            inner.addTask { await sleep(for: .microseconds(number * 100)) }
                            inner.addTask { await ledger.enter() }
                            await sleep(for: .microseconds(number * 50))
                            inner.cancelAll()
                        }
                        async let _: Void = sleep(for: .seconds(3_600))
                        if number == round { await Task.yield() }
                        _ = number
                        return 1
                    }
                }
                var sum = 0
                for await one in group { sum += one }
                return sum
            }
        }
        let entries = await ledger.entries
        return ended == 200 && entries == 200
    }

    private static func slow(_ value: Int, _ milliseconds: Int) async -> Int {
        await sleep(for: .milliseconds(milliseconds))
        return value
    }

    private static func asyncLet() async -> Bool {
        async let one = slow(1, 5)
        async let two = slow(2, 1)
        return await one * 10 + two == 12
    }

    private static func stream() async -> Bool {
        let (stream, source) = AsyncStream.makeStream(of: Int.self)
        Task {
            for number in 0..<50 {
                source.yield(number)
                if number % 10 == 0 { await Task.yield() }
            }
            source.finish()
        }
        var expected = 0
        for await number in stream {
            guard number == expected else { return false }
            expected += 1
        }
        return expected == 50
    }

    private static func sleepOrder() async -> Bool {
        let before = uptime()
        let order = await withTaskGroup(of: Int.self) { group in
            for delay in [40, 10, 30, 20, 0] {
                group.addTask { await slow(delay, delay) }
            }
            var order: [Int] = []
            for await delay in group { order.append(delay) }
            return order
        }
        return order == [0, 10, 20, 30, 40] && uptime() - before >= .milliseconds(40)
    }

    /// A year of sleep ends when its task is cancelled, before it or while it lasts.
    private static func sleepCancelled() async -> Bool {
        let sleeper = Task {
            await sleep(for: .seconds(31_536_000))
            return Task.isCancelled
        }
        await sleep(for: .milliseconds(5))
        sleeper.cancel()
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            await sleep(for: .seconds(31_536_000))
            return true
        }
        await Task.yield()
        late.cancel()
        let results = (await sleeper.value, await late.value)
        return results == (true, true)
    }

    private static func continuation() async -> Bool {
        let value = await withCheckedContinuation { continuation in
            Task { continuation.resume(returning: 7) }
        }
        return value == 7
    }

    private static func refuse(_ number: Int) throws(FixtureError) -> Int {
        guard number % 2 == 0 else { throw .asked }
        return number
    }

    private static func typedThrows() -> Bool {
        do throws(FixtureError) {
            guard try refuse(2) == 2 else { return false }
            return try refuse(3) == 0
        } catch {
            if case .asked = error { return true }
            return false
        }
    }

    private static func dictionary() -> Bool {
        var squares: [Int: Int] = [:]
        for number in 0..<1000 { squares[number] = number * number }
        for number in stride(from: 0, to: 1000, by: 2) { squares[number] = nil }
        var words: [String: Int] = [:]
        for word in "the cat and the dog and the bird".split(separator: " ") {
            words[String(word), default: 0] += 1
        }
        return squares.count == 500 && squares[31] == 961 && squares[30] == nil
            && words["the"] == 3 && words["and"] == 2 && words["fish"] == nil
    }

    private static func strings() -> Bool {
        let precomposed = "caf\u{E9}"
        let decomposed = "cafe\u{301}"
        let sorted = ["b", "a", "\u{E4}", "c"].sorted()
        return precomposed == decomposed && decomposed.count == 4 && decomposed.utf8.count == 6
            && sorted.first == "a" && "\(1.5) \(-3)" == "1.5 -3" && "ABC".lowercased() == "abc"
            && Int("12x") == nil && String(255, radix: 16) == "ff"
    }

    /// Two equal draws of 128 bits would mean that nothing random is behind them.
    private static func random() -> Bool {
        var generator = SystemRandomNumberGenerator()
        let first = (generator.next(), generator.next())
        let second = (generator.next(), generator.next())
        return first != second && (1...6).contains(Int.random(in: 1...6, using: &generator))
    }

    /// Blocks of many sizes, kept and dropped in a pattern; none may be changed by another.
    private static func heap() -> Bool {
        var blocks: [[UInt8]] = Array(repeating: [], count: 64)
        var state: UInt64 = 1
        for round in 0..<5000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let slot = Int(state >> 40) % blocks.count
            let size = Int(state >> 48) % (round % 50 == 0 ? 60_000 : 600)
            let mark = UInt8(truncatingIfNeeded: blocks[slot].count)
            guard blocks[slot].allSatisfy({ $0 == mark }) else { return false }
            blocks[slot] = Array(repeating: UInt8(truncatingIfNeeded: size), count: size)
        }
        return true
    }

    private static func files() -> Bool {
        guard let greeting = Files.lookup("greeting.txt"), let empty = Files.lookup("/empty"),
            let deep = Files.lookup("deep/a name with spaces")
        else { return false }
        return greeting.text == "A packed file, with an umlaut: \u{FC}\n" && empty.size == 0
            && deep.array == Array("deep\n".utf8) && Files.lookup("absent") == nil
            && Files.lookup("deep") == nil && Files.count == 3 && greeting.modificationTime > 0
    }
}
