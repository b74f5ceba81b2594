// The console on its way to the user: octet for octet, and names after backtrace lines.

import SystemPackage
import Testing

@testable import SwiftletBuild

@Suite("Console")
struct ConsoleFilterTests {
    /// What the user sees of `chunks`.
    static func pass(_ chunks: [String], debug: FilePath = "/nowhere") async -> String {
        let filter = ConsoleFilter(symboliser: Symboliser(debug: debug))
        var output: [UInt8] = []
        for chunk in chunks { output += await filter.pass(Array(chunk.utf8)[...]) }
        output += await filter.finish()
        return String(decoding: output, as: UTF8.self)
    }

    @Test("Everything passes, however it is cut")
    func identity() async {
        let text = "hello\n  at home\n  at 0x12\n  at 0x0000000000234567 \nbye  at 0x"
        #expect(await Self.pass([text]) == text)
        #expect(await Self.pass(text.map(String.init)) == text)
    }

    @Test("A prompt without a line feed passes at once")
    func prompt() async {
        let filter = ConsoleFilter(symboliser: Symboliser(debug: "/nowhere"))
        #expect(await filter.pass(Array("login: ".utf8)[...]) == Array("login: ".utf8)[...])
    }

    @Test("Backtrace lines get the function's name")
    func symbols() async throws {
        try await PackageTests.withPackage(nil) { folder in
            let debug = folder.appending("guest.debug")
            try FileSystem.write(SampleGuest().bytes, to: debug)
            let output = await Self.pass(
                ["fault\n  at 0x0000000000230020\r\n  at 0x00000000002300", "ff\ndone\n"],
                debug: debug)
            #expect(
                output.contains("  at 0x0000000000230020 SampleCode.work() -> ()\n")
                    || output.contains("  at 0x0000000000230020 work()\n"), "\(output)")
            #expect(output.hasSuffix("  at 0x00000000002300ff\ndone\n"), "\(output)")
        }
    }
}
