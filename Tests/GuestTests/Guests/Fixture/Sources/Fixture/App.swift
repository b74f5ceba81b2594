// What the fixture does is chosen by its first argument.

import Swiftlet

/// What `main` ends with when it is asked to throw.
enum FixtureError: Error {
    case asked
    case network(NetworkError)
    case server(HTTPServerError)
}

@main
struct App {
    static func main() async throws(FixtureError) {
        let arguments = Application.arguments
        switch arguments.first ?? "" {
        case "runtime": await RuntimeChecks.run()
        case "arguments": show(arguments)
        case "exit": Application.exit(code: Int32(arguments[1]) ?? -1)
        case "throw": throw .asked
        case "throw-network": try throwNetworkError()
        case "log": log()
        case "random": showRandomness()
        case "sleep": await sleepLong()
        case "serve": try await Server.run()
        case "names": await NameChecks.run(Array(arguments.dropFirst()))
        case "finish": try await Server.finish()
        case "input": await InputChecks.run(arguments[1])
        case "disk": await DiskChecks.run(arguments[1])
        case "disk-deaf":
            await DiskChecks.run("hold")
            await sleep(for: .seconds(1_000_000))
        case "wait": await waitForStop()
        case "busy": await workUntilStop()
        case "burst": await Burst.run()
        case "deaf": await sleep(for: .seconds(1_000_000))
        case "hostile":
            Hostile.commit(arguments[1], arguments.count > 2 ? Int(arguments[2]) ?? 0 : 0)
        default: Misdeed.commit(arguments.first ?? "")
        }
    }

    /// Arguments and a variable as they arrived, between brackets that show their ends.
    private static func show(_ arguments: [String]) {
        for argument in arguments.dropFirst() { print("argument [\(argument)]") }
        print("GREETING [\(Application.environment("GREETING") ?? "unset")]")
        print("EMPTY [\(Application.environment("EMPTY") ?? "unset")]")
        print("MISSING [\(Application.environment("MISSING") ?? "unset")]")
    }

    private static func showRandomness() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<4 { print("random \(generator.next())") }
    }

    /// The second socket cannot have the port of the first. Standard output holds a line that has
    /// not ended.
    private static func throwNetworkError() throws(FixtureError) {
        print("before the end", terminator: "")
        do throws(NetworkError) {
            let first = try UDPSocket(port: 9)
            let second = try UDPSocket(port: 9)
            first.close()
            second.close()
        } catch {
            throw .network(error)
        }
    }

    /// Longer than a timer of 32 bits counts at a gigahertz, and nothing else to wake the machine.
    private static func sleepLong() async {
        let before = uptime()
        await sleep(for: .seconds(5))
        print(uptime() - before >= .seconds(5) ? "slept" : "woke early")
    }

    /// No device, no timer: only the host can wake the machine. The first wait is given up.
    private static func waitForStop() async {
        let cancelled = Task { await Application.stopRequested() }
        await Task.yield()
        cancelled.cancel()
        print(await cancelled.value ? "asked early" : "cancelled")
        let asked = await Application.stopRequested()
        print(asked ? "asked" : "woke early")
        Application.exit(code: 17)
    }

    nonisolated(unsafe) private static var isAsked = false

    /// Always ready to go on; what it is asked before it listens must not be lost.
    private static func workUntilStop() async {
        print("at work")
        let end = uptime() + .milliseconds(300)
        while uptime() < end { await Task.yield() }
        Task { isAsked = await Application.stopRequested() }
        while !isAsked { await Task.yield() }
        Application.exit(code: 18)
    }

    private static func log() {
        let logger = Logger(label: "fixture")
        logger.debug("not shown")
        logger.info("order accepted", ["id": "42", "note": "two \"words\"\nand a line"])
    }
}
