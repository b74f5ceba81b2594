// 128-bit division, which the compiler calls by name (`Duration` counts attoseconds in Int128).

import CSwiftletMachine

#if hasFeature(Embedded)
    /// A 128-bit number in the two registers in which such values are passed and returned.
    private typealias Wide = (low: UInt64, high: UInt64)

    private func divide(_ a: Wide, by b: Wide) -> (quotient: Wide, remainder: Wide) {
        if b.high == 0 {
            let high = a.high / b.low
            let rest = a.high % b.low
            return (
                (swiftlet_divide128(rest, a.low, b.low), high),
                (swiftlet_remainder128(rest, a.low, b.low), 0)
            )
        }
        // A quotient below 2^64: bit by bit from where the divisor's highest bit meets.
        var remainder = a
        var quotient: UInt64 = 0
        let distance = b.high.leadingZeroBitCount - a.high.leadingZeroBitCount
        guard distance >= 0 else { return ((0, 0), a) }
        for shift in stride(from: UInt64(distance), through: 0, by: -1) {
            let low = b.low << shift
            let high = shift == 0 ? b.high : b.high << shift | b.low >> (64 - shift)
            let isLess =
                remainder.high < high || (remainder.high == high && remainder.low < low)
            if !isLess {
                let (difference, borrow) = remainder.low.subtractingReportingOverflow(low)
                remainder = (difference, remainder.high &- high &- (borrow ? 1 : 0))
                quotient |= 1 << shift
            }
        }
        return ((quotient, 0), remainder)
    }

    private func negate(_ a: Wide) -> Wide {
        let (low, carry) = (~a.low).addingReportingOverflow(1)
        return (low, ~a.high &+ (carry ? 1 : 0))
    }

    private func isNegative(_ a: Wide) -> Bool { a.high >> 63 != 0 }

    private func magnitude(_ a: Wide) -> Wide { isNegative(a) ? negate(a) : a }

    @used
    @_silgen_name("__udivti3")
    func unsignedQuotient(
        _ aLow: UInt64, _ aHigh: UInt64, _ bLow: UInt64, _ bHigh: UInt64
    ) -> (UInt64, UInt64) {
        divide((aLow, aHigh), by: (bLow, bHigh)).quotient
    }

    @used
    @_silgen_name("__umodti3")
    func unsignedRemainder(
        _ aLow: UInt64, _ aHigh: UInt64, _ bLow: UInt64, _ bHigh: UInt64
    ) -> (UInt64, UInt64) {
        divide((aLow, aHigh), by: (bLow, bHigh)).remainder
    }

    @used
    @_silgen_name("__divti3")
    func signedQuotient(
        _ aLow: UInt64, _ aHigh: UInt64, _ bLow: UInt64, _ bHigh: UInt64
    ) -> (UInt64, UInt64) {
        let quotient = divide(magnitude((aLow, aHigh)), by: magnitude((bLow, bHigh))).quotient
        return isNegative((aLow, aHigh)) != isNegative((bLow, bHigh)) ? negate(quotient) : quotient
    }

    @used
    @_silgen_name("__modti3")
    func signedRemainder(
        _ aLow: UInt64, _ aHigh: UInt64, _ bLow: UInt64, _ bHigh: UInt64
    ) -> (UInt64, UInt64) {
        let remainder = divide(magnitude((aLow, aHigh)), by: magnitude((bLow, bHigh))).remainder
        return isNegative((aLow, aHigh)) ? negate(remainder) : remainder
    }
#endif
