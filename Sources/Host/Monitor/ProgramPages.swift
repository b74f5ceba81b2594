// Pages of a Linux program: what the guest may change in its page tables (MonitorCall.pagesPort), and
// how the processor comes to know of it.
//
// A change only ever gives the guest memory that it has already, where nothing of the image's or the
// monitor's lies, and never with the right to execute it. The tables themselves stay out of its reach.

import Glibc
import SwiftletBootProtocol

/// The guest's page tables, after they were built: the part that is a program's.
struct ProgramPages {
    private static let pageSize = MachineLayout.pageSize

    private var tables: PageTableBuilder
    private let layout: MachineLayout
    /// Segments of the image whose pages may lose rights: writable ones, but for the first, which has
    /// the library OS's variables.
    private let changeable: [Range<UInt64>]

    init(_ tables: PageTableBuilder, layout: MachineLayout, segments: [ImageSegment]) {
        self.tables = tables
        self.layout = layout
        changeable = segments.filter { $0.permission == .readWrite }.dropFirst().map {
            $0.address..<MachineLayout.roundUp($0.end, Self.pageSize)
        }
    }

    /// The entry that maps `virtual`, 0 if none does.
    func lookUp(_ virtual: UInt64) -> UInt64 { tables.lookUp(virtual) }

    /// Makes the changes that a call names.
    ///
    /// - Parameters:
    ///   - address: where they lie in the direct map.
    ///   - count: how many they are.
    mutating func change(
        at address: UInt64, count: UInt64, _ memory: GuestMemory
    ) -> PageResult {
        let size = UInt64(PageChange.size)
        guard count <= UInt64(MonitorCall.mostPageChanges), address % 8 == 0,
            let list = memory.devicePointer(address &- MonitorCall.directMapBase, count * size)
        else { return .refused }
        for index in 0..<Int(count) {
            func word(_ number: Int) -> UInt64 {
                list.load(fromByteOffset: index * PageChange.size + number * 8, as: UInt64.self)
            }
            guard let change = PageChange(word(0), word(1), word(2)) else { return .refused }
            let result = make(change, memory)
            if result != .done { return result }
        }
        return .done
    }

    private mutating func make(_ change: PageChange, _ memory: GuestMemory) -> PageResult {
        let size = change.pages * Self.pageSize
        let isProgram = Self.holds(
            MonitorCall.programStart..<MonitorCall.programEnd, change.virtual, size)
        let isImage = changeable.contains { Self.holds($0, change.virtual, size) }
        guard isProgram || isImage else { return .refused }
        var physical = change.physical
        if isImage {
            physical = UInt64(Int64(change.virtual) + layout.imageDelta)
        } else if change.access != .none, memory.devicePointer(physical, size) == nil {
            return .refused
        }
        let permission: PagePermission? =
            switch change.access {
            case .none: nil
            case .read: .readOnly
            case .readWrite: .readWrite
            }
        var revoked = RevokedFrames()
        var isWhole = true
        for page in 0..<change.pages where isWhole {
            let entry = permission.map { (physical + page * Self.pageSize) | $0.bits } ?? 0
            let virtual = change.virtual + page * Self.pageSize
            if let old = tables.replace(virtual, by: entry) {
                isWhole = revoked.note(old, replacedBy: entry, memory)
            } else {
                isWhole = false
            }
        }
        // What was changed holds, even if the rest could not be.
        return revoked.forget(memory) && isWhole ? .done : .full
    }

    private static func holds(_ range: Range<UInt64>, _ start: UInt64, _ size: UInt64) -> Bool {
        range.contains(start) && size <= range.upperBound - start
    }
}

/// Frames whose mapping has gone, or allows less: the processor must forget what it knows of it.
///
/// It has no instruction for that outside of ring 0, and KVM none for its user. But KVM follows the
/// host's own page tables: when those of guest memory change, it drops every translation that leads
/// there, those through the guest's tables included, whether the hardware walks them or KVM does
/// (mmu notifiers; Documentation/virt/kvm/locking.rst). So the frames are write-protected in this
/// process for a moment.
private struct RevokedFrames {
    private var start: UInt64 = 0
    private var end: UInt64 = 0

    /// - Returns: false if the host has no memory for it.
    mutating func note(_ old: UInt64, replacedBy new: UInt64, _ memory: GuestMemory) -> Bool {
        let (present, writable): (UInt64, UInt64) = (1, 2)
        // What gains rights needs no word: a processor looks again before it faults.
        let isRevoked =
            (old ^ new) & PageTableBuilder.addressMask != 0 || old & ~new & writable != 0
        guard old & present != 0, isRevoked else { return true }
        let frame = old & PageTableBuilder.addressMask
        var isForgotten = true
        if frame != end {
            isForgotten = forget(memory)
            start = frame
        }
        end = frame + MachineLayout.pageSize
        return isForgotten
    }

    /// What was noted is no longer known to the processor.
    ///
    /// - Returns: false if the host has no memory for it.
    mutating func forget(_ memory: GuestMemory) -> Bool {
        defer { (start, end) = (0, 0) }
        guard end > start, let pointer = memory.pointer(start, end - start) else { return true }
        let size = Int(end - start)
        return mprotect(pointer, size, PROT_READ) == 0
            && mprotect(pointer, size, PROT_READ | PROT_WRITE) == 0
    }
}
