// What the guest handles itself (MonitorCall.faultsPort): exceptions, and the ends of its threads'
// turns. The monitor leaves word on a stack of the guest's and lets it go on elsewhere.

import CSwiftletKVM
import SwiftletBootProtocol

/// What was interrupted, and by what.
struct Interruption: Equatable {
    var vector: UInt64
    var errorCode: UInt64 = 0
    /// CR2: the address that a page fault is about.
    var address: UInt64 = 0
    var rip: UInt64
    var rflags: UInt64
    var rsp: UInt64
    /// Selectors of ring 3, as the processor left them.
    var cs = UInt64(SupervisorPages.userCode)
    var ss = UInt64(SupervisorPages.userData)
}

/// Where the guest wants to go on then.
struct GuestHandler: Equatable {
    /// Octets that are left on its stack.
    static let recordSize: UInt64 = 64
    /// Interrupts enabled, as everywhere in the guest; IOPL 0, no single steps.
    static let flags: UInt64 = 0x202
    /// Above, addresses are the monitor's, or none.
    private static let addressEnd: UInt64 = 1 << 47

    let entry: UInt64
    /// The stack pointer that it finds, a virtual address, and where that is in physical memory.
    let stack: UInt64
    private let record: UInt64

    /// Nil if there is to be none, or if its stack is not in memory that the guest may write to.
    init?(entry: UInt64, stackTop: UInt64, _ memory: GuestMemory) {
        guard entry != 0, entry < Self.addressEnd, stackTop % 16 == 0 else { return nil }
        let top = stackTop &- MonitorCall.directMapBase
        guard top >= Self.recordSize, top < Self.addressEnd,
            memory.devicePointer(top - Self.recordSize, Self.recordSize) != nil
        else { return nil }
        self.entry = entry
        stack = stackTop - Self.recordSize
        record = top - Self.recordSize
    }

    /// Leaves word of `event` where the handler looks for it.
    func tell(_ event: Interruption, _ memory: GuestMemory) {
        guard let place = memory.devicePointer(record, Self.recordSize) else { return }
        let words = [
            event.address, event.vector, event.errorCode, event.rip, event.cs, event.rflags,
            event.rsp, event.ss,
        ]
        for (index, word) in words.enumerated() {
            place.storeBytes(of: word, toByteOffset: index * 8, as: UInt64.self)
        }
    }
}

/// The clock of threads' turns: a signal that ends KVM_RUN. A signal may come late, or for a time that
/// the guest has put off meanwhile, so that the clock alone says whether a turn has ended.
struct TurnClock {
    /// In nanoseconds.
    private static let longest: UInt64 = 60_000_000_000

    /// When the turn ends, in nanoseconds of the host's monotonic clock; nil if nobody waits for it.
    private var end: UInt64?
    private let run: UnsafeMutablePointer<kvm_run>

    /// Makes it ready; before confinement, and once.
    init(_ run: UnsafeMutablePointer<kvm_run>) throws(MonitorError) {
        guard swiftlet_prepare_kicks(run) == 0 else { throw .system("cannot prepare a signal") }
        self.run = run
    }

    /// Has KVM_RUN return after so many nanoseconds, a minute at most.
    mutating func start(_ nanoseconds: UInt64) {
        let time = min(max(nanoseconds, MonitorCall.shortestTurn), Self.longest)
        end = StartMoments.now() + time
        swiftlet_kick_after(time)
    }

    /// KVM_RUN was interrupted. Whether the turn has ended; if not yet, there will be another signal.
    func hasEnded() -> Bool {
        run.pointee.immediate_exit = 0
        guard let end else { return false }
        let now = StartMoments.now()
        if now >= end { return true }
        swiftlet_kick_after(end - now)
        return false
    }

    /// What is to be interrupted cannot be now: soon.
    func postpone() { swiftlet_kick_after(MonitorCall.shortestTurn) }

    /// What was to be interrupted has been, or has waited meanwhile.
    mutating func stop() {
        end = nil
        run.pointee.immediate_exit = 0
    }

    /// The guest has waited: a turn that would have ended by now has.
    mutating func pass() {
        if let end, StartMoments.now() >= end { stop() }
    }
}
