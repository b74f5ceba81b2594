// What a guest that runs a Linux program asks of the built-in monitor besides (`MonitorCall`): pages
// of the program, its faults, and the ends of its threads' turns.
//
// The page tables are the monitor's. The program's pages are frames of the guest's own heap, mapped
// a second time in the program window; nothing there is ever executable, so that W^X holds. What the
// program executes are segments of the image.

extension MonitorCall {
    /// Changes pages. rdi is the virtual address, in the direct map, of `PageChange`s; rsi is their
    /// number, `mostPageChanges` at most. They are made in their order, and the first that is
    /// refused ends the call; afterwards eax, which is to be 0 before, is a `PageResult`.
    public static var pagesPort: UInt16 { 0x5318 }
    /// From now on exceptions do not end the machine: they lead to the address rdi, with rsp 64
    /// octets below rsi, which lies in the direct map, 16-aligned. There are found, eight octets
    /// each: the address of a page fault, the exception's vector, its error code, and as a processor
    /// leaves them rip, cs, rflags, rsp and ss of what was interrupted. With rdi 0 they end it again.
    public static var faultsPort: UInt16 { 0x531C }
    /// In rdi nanoseconds, `shortestTurn` at least, what then runs is interrupted as by the exception
    /// `turnVector`, if it lies outside of the image's first segment, which is the library OS's code;
    /// else as soon as it does. A later call takes the place of an earlier one.
    public static var turnPort: UInt16 { 0x5320 }

    public static var turnVector: UInt64 { 32 }
    /// In nanoseconds.
    public static var shortestTurn: UInt64 { 1_000_000 }
    /// The program window: virtual addresses that are neither image nor direct map.
    public static var programStart: UInt64 { highestAddress }
    public static var programEnd: UInt64 { 0x3FFF_0000_0000 }
    /// The most changes of one call, and the most pages of one change.
    public static var mostPageChanges: Int { 128 }
    public static var mostPages: UInt64 { 1 << 12 }
}

/// What became of a call of `pagesPort`, in eax.
public enum PageResult: UInt32, Sendable {
    case done = 0
    /// A change is none that is allowed: it names what is not the guest's to map, or to change.
    case refused = 1
    /// There is no memory for another page table.
    case full = 2
}

/// One change of the guest's page tables: three words of 64 bits, little-endian. The first is the
/// virtual address of the first page; the second its frame's physical address, with the access in
/// the lowest bits; the third the number of pages, which are contiguous both ways.
///
/// In the program window frames are the guest's heap's. In a writable segment of the image behind
/// the first one, the frame is not heeded: such pages may lose the permission to be written, or to
/// be read, and get it back.
public struct PageChange: Equatable, Sendable {
    /// What the pages allow afterwards.
    public enum Access: UInt64, Sendable {
        /// Nothing is mapped, or nothing is allowed; the frame is not heeded.
        case none = 0
        case read = 1
        case readWrite = 3
    }

    /// Octets of one.
    public static var size: Int { 24 }
    private static var accessMask: UInt64 { 4095 }

    public var virtual: UInt64
    public var physical: UInt64
    public var access: Access
    public var pages: UInt64

    public init(virtual: UInt64, physical: UInt64, access: Access, pages: UInt64) {
        (self.virtual, self.physical) = (virtual, physical)
        (self.access, self.pages) = (access, pages)
    }

    /// The words, as they are shown to the monitor.
    public var words: (UInt64, UInt64, UInt64) { (virtual, physical | access.rawValue, pages) }

    /// Reads words; nil if they are none, or name more than whole pages.
    public init?(_ first: UInt64, _ second: UInt64, _ third: UInt64) {
        guard first & Self.accessMask == 0, third > 0, third <= MonitorCall.mostPages,
            let access = Access(rawValue: second & Self.accessMask)
        else { return nil }
        self.init(
            virtual: first, physical: second & ~Self.accessMask, access: access, pages: third)
    }
}
