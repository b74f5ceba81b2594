// Explicit congestion notification: routers mark packets instead of dropping them (RFC 3168 §6.1).

extension TCPControlBlock {
    /// What the marks of an acceptable segment say, in both directions.
    @inline(never)
    mutating func heedMarks(_ bits: TCPFlags, hasData: Bool, _ context: inout TCPContext) {
        // §6.1.3: CWR ends the echo, unless this very packet is marked.
        if bits.contains(.cwr) { flags.remove(.echoesMark) }
        if context.isMarked {
            flags.insert(.echoesMark)
            if hasData { flags.insert(.ackNow) }
        }
        // §6.1.2: as if a segment were lost, but nothing is; once for what is in flight.
        guard bits.contains(.ece), recovery == .none, inFlight > 0, sndUna >= markedAt else {
            return
        }
        congestion.enterFastRecovery(inFlight: inFlight, mss: mss)
        markedAt = sndNxt
        flags.insert(.tellsReduction)
    }
}
