// A guest that was taken over: whatever it does, the built-in monitor and its other machines go on.

import CFixture
import Swiftlet

enum Hostile {
    nonisolated(unsafe) private static var sink = 0

    static func commit(_ name: String, _ number: Int) {
        switch name {
        case "privileged":
            fixture_privileged(Int32(number))
            print("it was done")
        case "loop": loop()
        case "flood": flood()
        case "ranges": writeRanges()
        case "registers":
            fixture_poke_registers()
            print("poked")
        case "rules": breakRules([0x1000, 0x2000])
        case "console":
            breakRules([0x4000])
            withRings { fixture_scribble($0, 3000, 1) }
            print("\nscribbled")
        case "pages":
            withRings { print("\(fixture_refused_pages($0)) changes were made") }
            fixture_privileged(17)
        case "lose": withRings { fixture_lose_page($0, Int32(number)) }
        case "scribble":
            withRings { fixture_scribble($0, 3000, 0) }
            print("scribbled")
        default: print("fixture: no mode '\(name)'")
        }
    }

    /// Nothing in it leaves the machine.
    @inline(never) private static func loop() {
        print("looping")
        while true { sink &+= 1 }
    }

    private static func flood() {
        let line = String(repeating: "flood ", count: 300)
        while true { print(line) }
    }

    private static func writeRanges() {
        var local = 0
        withUnsafePointer(to: &local) { fixture_console_ranges(UInt64(UInt(bitPattern: $0))) }
        print("nothing was shown")
    }

    private static func withRings<R>(_ body: (UnsafeMutableRawPointer) -> R) -> R {
        let rings = UnsafeMutableRawPointer.allocate(byteCount: 4 * 4096, alignment: 4096)
        defer { rings.deallocate() }
        return body(rings)
    }

    private static func breakRules(_ devices: [UInt32]) {
        withRings { rings in
            for device in devices {
                for rule in 0..<9 as Range<Int32> {
                    let status = fixture_break_rule(device, rule, rings)
                    print(
                        "device \(device) rule \(rule): \(status & 64 != 0 ? "stopped" : "went on")"
                    )
                }
            }
        }
    }
}
