// What programs must not do. Each function's name is looked for in the backtrace.

import CFixture
import Swiftlet

enum Misdeed {
    /// Not known to the optimiser.
    nonisolated(unsafe) private static var sink = 0

    static func commit(_ name: String) {
        switch name {
        case "null": readNull(Application.arguments.count)
        case "overflow": sink = overflowStack(Application.arguments.count)
        case "write": writeReadOnly("read-only")
        case "code": writeCode()
        case "execute": executeData()
        case "divide": divideByZero(Application.arguments.count)
        case "trap": indexOutOfRange(Application.arguments.count)
        case "exhaust": exhaustMemory()
        default: print("fixture: no mode '\(name)'")
        }
        // No function above returns by a jump to here.
        sink &+= 1
    }

    /// Inside page 0, where a null pointer's members would lie.
    @inline(never) private static func readNull(_ offset: Int) {
        sink = UnsafePointer<Int>(bitPattern: UInt(offset) &* 8).unsafelyUnwrapped.pointee
    }

    @inline(never) private static func overflowStack(_ depth: Int) -> Int {
        if depth == .max { return sink }
        return (overflowStack(depth &+ 1) &* 3) ^ depth
    }

    @inline(never) private static func writeReadOnly(_ text: StaticString) {
        UnsafeMutablePointer(mutating: text.utf8Start).pointee = 0x52
    }

    private static let code: @convention(c) () -> Void = {}

    @inline(never) private static func writeCode() {
        unsafeBitCast(code, to: UnsafeMutablePointer<UInt8>.self).pointee = 0xC3
    }

    /// A return instruction on the heap.
    @inline(never) private static func executeData() {
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 16)
        memory.initialize(repeating: 0xC3, count: 16)
        unsafeBitCast(memory, to: (@convention(c) () -> Void).self)()
        sink = Int(memory.pointee)
    }

    @inline(never) private static func divideByZero(_ count: Int) {
        sink = Int(fixture_divide(1, Int32(count &- count)))
    }

    @inline(never) private static func indexOutOfRange(_ index: Int) {
        let array = [sink]
        sink = array[index]
    }

    @inline(never) private static func exhaustMemory() {
        var blocks: [[UInt8]] = []
        while true {
            blocks.append([UInt8](repeating: 1, count: 100_000))
            sink &+= blocks.count
        }
    }
}
