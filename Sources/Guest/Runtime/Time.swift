// The C clock functions, and Swift's clocks with them.

import SwiftletMachine

#if hasFeature(Embedded)
    private let realTimeClock: Int32 = 0

    @_cdecl("clock_gettime")
    func cClockGettime(_ clock: Int32, _ result: UnsafeMutablePointer<Int>) -> Int32 {
        let now = clock == realTimeClock ? Clock.wallTime : Clock.now
        // struct timespec: seconds, nanoseconds
        result[0] = Int(now / 1_000_000_000)
        result[1] = Int(now % 1_000_000_000)
        return 0
    }

    @_cdecl("clock_getres")
    func cClockGetres(_ clock: Int32, _ result: UnsafeMutablePointer<Int>) -> Int32 {
        result[0] = 0
        result[1] = 1
        return 0
    }
#endif
