// Memory that the guest has freed goes back to the host while the guest waits: the guest shows its
// table of page frames once, and pays nothing for it afterwards (MonitorCall.framesPort).
//
// What the table says is the guest's own affair. It names memory that devices may touch, or it is not
// heeded; whoever lies in it loses octets of its own.

import CSwiftletKVM
import Glibc
import SwiftletBootProtocol

/// The guest's free frames.
struct FreeFrames {
    /// From one look at the table to the next, in nanoseconds: a guest that works finds most of what
    /// it has freed still there.
    private static let interval: UInt64 = 1_000_000_000
    /// Frames that are looked at in one go: a gibibyte's.
    private static let stride = 1 << 18
    /// Runs given back in one go.
    private static let mostRuns = 1024
    /// Runs of 2^4 frames, 64 KiB, and longer ones: shorter ones are not worth a call.
    private static let smallestOrder = 4
    private static let frameSize = MachineLayout.pageSize

    private struct Table {
        var address: UInt64
        var firstFrame: UInt64
        var count: Int
    }

    private var table: Table?
    /// Where the next look begins; 0 for a new one.
    private var cursor = 0
    private var lastLook: UInt64 = 0
    /// Whether the guest has run since the last look began.
    private var isStale = false

    /// Takes note of where the table lies; one that is not whole, or not in memory, is none.
    ///
    /// - Parameter virtual: its address in the direct map.
    mutating func show(table virtual: UInt64, _ memory: GuestMemory) {
        table = nil
        cursor = 0
        lastLook = swiftlet_coarse_time()
        let address = virtual &- MonitorCall.directMapBase
        guard memory.devicePointer(address, 1) != nil else { return }
        let first = address / Self.frameSize
        let count = memory.deviceRange.upperBound / Self.frameSize - first
        guard first * Self.frameSize >= memory.deviceRange.lowerBound,
            memory.devicePointer(address, count) != nil
        else { return }
        table = Table(address: address, firstFrame: first, count: Int(count))
    }

    /// The guest has run and is about to wait. How long it may before `giveBack` is due, in
    /// nanoseconds; all ones: without end.
    mutating func delay(hasRun: Bool) -> UInt64 {
        guard table != nil else { return .max }
        if hasRun { isStale = true }
        guard isStale else { return .max }
        let elapsed = swiftlet_coarse_time() &- lastLook
        return elapsed < Self.interval ? Self.interval - elapsed : 0
    }

    /// Gives a part of what is free back, from where the last call ended.
    ///
    /// - Returns: octets given back.
    @discardableResult
    mutating func giveBack(_ memory: GuestMemory) -> UInt64 {
        guard let table, let octets = memory.devicePointer(table.address, UInt64(table.count))
        else { return 0 }
        let tags = octets.assumingMemoryBound(to: UInt8.self)
        var index = cursor
        var runs = 0
        var given: UInt64 = 0
        let end = min(table.count, cursor + Self.stride)
        while index < end, runs < Self.mostRuns {
            let tag = tags[index]
            guard tag >= MonitorCall.freeFrames else {
                index += 1
                continue
            }
            let order = Int(tag - MonitorCall.freeFrames)
            guard order < 32, 1 << order <= table.count - index else {
                // No such run: the rest is not believed either.
                index = table.count
                break
            }
            if order >= Self.smallestOrder {
                let start = (table.firstFrame + UInt64(index) + 1) * Self.frameSize
                let size = (UInt64(1) << UInt64(order) - 1) * Self.frameSize
                if let pointer = memory.devicePointer(start, size),
                    madvise(pointer, Int(size), MADV_DONTNEED) == 0
                {
                    given += size
                }
                runs += 1
            }
            index += 1 << order
        }
        cursor = index < table.count ? index : 0
        if cursor == 0 {
            lastLook = swiftlet_coarse_time()
            isStale = false
        }
        return given
    }
}
