// The C rounding functions that Swift's library calls by name (IEEE 754; ISO C 7.12.9).

#if hasFeature(Embedded)
    /// Beyond this every Double is a whole number.
    private let wholeNumbers = 4_503_599_627_370_496.0

    private func truncated(_ x: Double) -> Double {
        // NaN and large values stay as they are; the sign of zero is kept.
        guard x.magnitude < wholeNumbers else { return x }
        return Double(signOf: x, magnitudeOf: Double(Int64(x)))
    }

    @_cdecl("trunc")
    func cTrunc(_ x: Double) -> Double { truncated(x) }

    @_cdecl("ceil")
    func cCeil(_ x: Double) -> Double {
        let whole = truncated(x)
        return whole < x ? whole + 1 : whole
    }

    @_cdecl("floor")
    func cFloor(_ x: Double) -> Double {
        let whole = truncated(x)
        return whole > x ? whole - 1 : whole
    }

    @_cdecl("round")
    func cRound(_ x: Double) -> Double {
        let whole = truncated(x)
        guard (x - whole).magnitude >= 0.5 else { return whole }
        return whole + Double(signOf: x, magnitudeOf: 1)
    }

    @_cdecl("rint")
    func cRint(_ x: Double) -> Double {
        // Adding and taking away 2^52 rounds in the CPU's mode, to nearest even.
        guard x.magnitude < wholeNumbers else { return x }
        let shift = Double(signOf: x, magnitudeOf: wholeNumbers)
        return Double(signOf: x, magnitudeOf: ((x + shift) - shift).magnitude)
    }
#endif
