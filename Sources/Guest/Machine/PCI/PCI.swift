// The PCI bus (PCI Local Bus 3.0, PCI-to-PCI Bridge 1.2): finds the functions behind bus 0.
//
// Firmware has numbered the buses and assigned the memory; this only looks.

/// The buses that can be reached from bus 0.
public enum PCI {
    /// Calls `body` for each function of bus 0 and of the buses behind its bridges.
    public static func forEachFunction(
        _ access: PCIConfigurationAccess, _ body: (PCIFunction) -> Void
    ) {
        // A bit for each bus: every one is searched once, whatever the bridges say.
        var found: InlineArray<4, UInt64> = [1, 0, 0, 0]
        var searched: InlineArray<4, UInt64> = .init(repeating: 0)
        while let bus = firstBus(in: found, without: searched) {
            searched[Int(bus >> 6)] |= 1 << UInt64(bus & 63)
            for device in 0..<32 as Range<UInt8> {
                search(access, bus: bus, device: device) { function in
                    if let behind = function.secondaryBus {
                        found[Int(behind >> 6)] |= 1 << UInt64(behind & 63)
                    }
                    body(function)
                }
            }
        }
    }

    @inline(never)
    private static func search(
        _ access: PCIConfigurationAccess, bus: UInt8, device: UInt8, _ body: (PCIFunction) -> Void
    ) {
        func function(_ number: UInt8) -> PCIFunction? {
            PCIFunction(access, at: PCIAddress(bus: bus, device: device, function: number))
        }
        guard let first = function(0) else { return }
        body(first)
        guard first.hasMoreFunctions else { return }
        for number in 1..<8 as Range<UInt8> {
            if let next = function(number) { body(next) }
        }
    }

    private static func firstBus(
        in found: InlineArray<4, UInt64>, without searched: InlineArray<4, UInt64>
    ) -> UInt8? {
        for word in 0..<4 {
            let left = found[word] & ~searched[word]
            if left != 0 {
                return UInt8(truncatingIfNeeded: word &* 64 &+ left.trailingZeroBitCount)
            }
        }
        return nil
    }
}
