// What a monitor has counted of its machine, as `ps` and `stats` show it.

import SwiftletBootProtocol
import SwiftletInstances

/// Counts since the machine's start.
struct MachineCounters: Encodable {
    /// How often the guest left the virtual machine, and what of it for which reason.
    var exits: UInt64
    var consoleCalls: UInt64
    var waits: UInt64
    var timeReads: UInt64
    var registerReads: UInt64
    var registerWrites: UInt64
    var faults: UInt64
    var interruptions: UInt64
    /// Ethernet frames and their octets, seen from the guest.
    var receivedFrames: UInt64
    var receivedOctets: UInt64
    var sentFrames: UInt64
    var sentOctets: UInt64

    /// Nil where the monitor does not count (QEMU), or does not run.
    init?(_ instance: Instance) {
        guard let statistics = instance.statistics else { return nil }
        exits = statistics.exits
        consoleCalls = statistics[.consoleCalls]
        waits = statistics[.waits]
        timeReads = statistics[.timeReads]
        registerReads = statistics[.registerReads]
        registerWrites = statistics[.registerWrites]
        faults = statistics[.faults]
        interruptions = statistics[.interruptions]
        receivedFrames = statistics[.receivedFrames]
        receivedOctets = statistics[.receivedOctets]
        sentFrames = statistics[.sentFrames]
        sentOctets = statistics[.sentOctets]
    }
}
