// What the fixture does with its standard input.

import Swiftlet

enum InputChecks {
    static func run(_ action: String) async {
        do throws(StandardInputError) {
            switch action {
            case "echo": try await echo()
            case "slow": try await slow()
            case "lines": await lines()
            case "bytes": await bytes()
            case "disputed": try await disputed()
            case "unread": await unread()
            default: print("fixture: no mode '\(action)'")
            }
        } catch {
            print(error.description)
        }
    }

    /// Everything that comes goes out again, as it is.
    private static func echo() async throws(StandardInputError) {
        var octets: [UInt8] = []
        while try await StandardInput.read(into: &octets) {
            StandardOutput.write(octets.span.bytes)
            octets.removeAll(keepingCapacity: true)
        }
    }

    /// In pieces of odd lengths, with pauses in which nobody listens; the end's digest.
    private static func slow() async throws(StandardInputError) {
        var hash = SHA256()
        var count = 0
        var length = 1
        while let octets = try await StandardInput.read(upTo: length) {
            hash.update(octets.span.bytes)
            count += octets.count
            length = length * 3 % 20011
            if count & 0x3F == 0 { await sleep(for: .milliseconds(1)) }
        }
        // It stays at its end.
        let isOver = try await StandardInput.read() == nil
        print("\(count) octets \(hex(hash.finish())) \(isOver ? "over" : "goes on")")
    }

    private static func hex(_ octets: [UInt8]) -> String {
        var text: [UInt8] = []
        for octet in octets {
            for digit in [octet >> 4, octet & 15] { text.append(digit + (digit < 10 ? 48 : 87)) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Lines, the long ones in parts.
    private static func lines() async {
        for await line in StandardInput.lines(longest: 20) { print("[\(line)]") }
    }

    private static func bytes() async {
        var count = 0
        var sum = 0
        for await octet in StandardInput.bytes {
            count += 1
            sum += Int(octet)
        }
        print("\(count) octets, sum \(sum)")
    }

    /// A second reader is refused, one that was cancelled loses nothing.
    private static func disputed() async throws(StandardInputError) {
        let first = Task {
            do throws(StandardInputError) {
                _ = try await StandardInput.read()
                return "read"
            } catch {
                return error.description
            }
        }
        print("waiting")
        await sleep(for: .milliseconds(50))
        do throws(StandardInputError) {
            _ = try await StandardInput.read()
        } catch {
            print(error.description)
        }
        first.cancel()
        print(await first.value)
        print("cancelled")
        var octets: [UInt8] = []
        while try await StandardInput.read(into: &octets) {}
        print("\(octets.count) octets")
    }

    /// Nobody reads; the machine goes on with something else until it is asked to end.
    private static func unread() async {
        _ = try? await StandardInput.read(upTo: 1)
        print("read one")
        await Application.stopRequested()
        print("asked")
    }
}
