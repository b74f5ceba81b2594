// What servers use of Foundation, Dispatch and Swift's concurrency, with output that does not depend on
// the machine.

import Foundation

struct Order: Codable, Equatable {
    var number: Int
    var customer: String
    var placed: Date
    var prices: [String: Double]
    var note: String?
}

actor Counter {
    private(set) var value = 0
    func add(_ amount: Int) { value += amount }
}

@main
struct Ordinary {
    static func main() async throws {
        json()
        text()
        try files()
        dispatch()
        await tasks()
        let process = ProcessInfo.processInfo
        print("arguments", CommandLine.arguments.dropFirst().joined(separator: ","))
        print("COLOUR", process.environment["COLOUR"] ?? "none")
        print(UUID().uuidString.count, Int.random(in: 0..<10) < 10, process.systemUptime > 0)
        fflush(nil)
        FileHandle.standardError.write(Data("to standard error\n".utf8))
        exit(9)
    }

    static func json() {
        let order = Order(
            number: 7, customer: "Zoë \"Z\" Müller", placed: Date(timeIntervalSince1970: 1e9),
            prices: ["tea": 2.5, "cake": 3.75], note: nil)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        encoder.dateEncodingStrategy = .iso8601
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        do {
            let data = try encoder.encode(order)
            print(String(decoding: data, as: UTF8.self))
            print(try decoder.decode(Order.self, from: data) == order)
            _ = try decoder.decode(Order.self, from: Data("{\"number\": \"x\"}".utf8))
        } catch DecodingError.typeMismatch(_, let context) {
            print("mismatch at", context.codingPath.map(\.stringValue))
        } catch {
            print("error", error)
        }
    }

    static func text() {
        let date = Date(timeIntervalSince1970: 1_700_000_000)
        print(date.formatted(.iso8601), ISO8601DateFormatter().date(from: "2024-02-29T12:00:00Z")!)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: "GMT")!
        print(calendar.dateComponents([.year, .month, .day, .weekday], from: date).day ?? 0)
        let url = URL(string: "https://user@example.org:8443/a/b%20c?x=1&y=%C3%A9#end")!
        print(url.host() ?? "", url.port ?? 0, url.path(), url.query() ?? "", url.lastPathComponent)
        print(
            Data("swiftlet".utf8).base64EncodedString(),
            String(format: "%05d|%8.3f|%@", 42, Double.pi, "x"))
        print(
            "a,b;c".components(separatedBy: CharacterSet(charactersIn: ",;")),
            "  trim ".trimmingCharacters(in: .whitespaces))
        print(
            "The rain in Spain".replacing(/ai(n)/) { "ei\($0.1)" }, "straße".uppercased(),
            "é" == "e\u{301}")
        print(
            Decimal(string: "0.1")! + Decimal(string: "0.2")!,
            1234567.89.formatted(.number.locale(Locale(identifier: "en_US"))))
    }

    static func files() throws {
        let manager = FileManager.default
        let folder = URL(fileURLWithPath: "/tmp/swiftlet-ordinary", isDirectory: true)
        try? manager.removeItem(at: folder)
        try manager.createDirectory(
            at: folder.appending(path: "deep/er"), withIntermediateDirectories: true)
        let file = folder.appending(path: "deep/file.txt")
        try Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0) }).write(
            to: file, options: .atomic)
        try "second".write(
            to: folder.appending(path: "second.txt"), atomically: false, encoding: .utf8)
        let read = try Data(contentsOf: file, options: .mappedIfSafe)
        print(
            read.count, read[70_000], try manager.contentsOfDirectory(atPath: folder.path).sorted())
        let attributes = try manager.attributesOfItem(atPath: file.path)
        print(attributes[.size] ?? "", attributes[.type] ?? "")
        try manager.copyItem(at: file, to: folder.appending(path: "copy"))
        try manager.moveItem(
            at: folder.appending(path: "copy"), to: folder.appending(path: "moved"))
        let handle = try FileHandle(forUpdating: folder.appending(path: "moved"))
        try handle.seek(toOffset: 10)
        try handle.write(contentsOf: Data("changed".utf8))
        try handle.seek(toOffset: 8)
        print(
            try handle.read(upToCount: 10).map { String(decoding: $0.dropFirst(2), as: UTF8.self) }
                ?? "")
        try handle.close()
        print(
            manager.subpaths(atPath: folder.path)?.sorted() ?? [],
            manager.fileExists(atPath: "/tmp/nothing"))
        do {
            _ = try Data(contentsOf: URL(fileURLWithPath: "/tmp/nothing"))
        } catch let error as CocoaError {
            print("no such file", error.code == .fileReadNoSuchFile)
        }
        try manager.removeItem(at: folder)
        print(manager.fileExists(atPath: folder.path))
    }

    static func dispatch() {
        let queue = DispatchQueue(label: "results")
        nonisolated(unsafe) var sum = 0
        DispatchQueue.concurrentPerform(iterations: 64) { index in queue.sync { sum += index } }
        let group = DispatchGroup()
        for index in 0..<8 {
            DispatchQueue.global().async(group: group) { queue.sync { sum += index } }
        }
        print("dispatch", group.wait(timeout: .now() + 20) == .success, queue.sync { sum })
        let timer = DispatchSemaphore(value: 0)
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(5)) { timer.signal() }
        print("timer", timer.wait(timeout: .now() + 20) == .success)
        let lock = NSLock()
        let threads = (0..<4).map { index in
            let thread = Thread { lock.withLock { sum += index } }
            thread.start()
            return thread
        }
        while !threads.allSatisfy(\.isFinished) { Thread.sleep(forTimeInterval: 0.001) }
        print("threads", lock.withLock { sum })
    }

    static func tasks() async {
        let counter = Counter()
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<100 {
                group.addTask {
                    if index % 10 == 0 { try? await Task.sleep(for: .milliseconds(1)) }
                    await counter.add(index)
                }
            }
        }
        print("tasks", await counter.value)
        let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
        Task.detached {
            for value in 0..<5 { continuation.yield(value * value) }
            continuation.finish()
        }
        var squares: [Int] = []
        for await square in stream { squares.append(square) }
        print("stream", squares)
    }
}
