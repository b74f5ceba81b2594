// What a guest in ring 3 asks of the built-in monitor: a 32-bit write to an I/O port, arguments in
// registers.
//
// The built-in monitor enters an image at the ELF's entry address in 64-bit mode, in ring 3, on the
// application's stack, behind an unmapped page; its page tables stand. Registers at entry:
//
//     rdi  physical address of the start info (hvm_start_info)
//     rsi  physical minus virtual address of the image
//     rdx  lowest address of the stack, whose top is rsp
//     rcx  ticks of the TSC in a second
//
// All physical memory that the start info's map shows as RAM, and every page of device registers,
// is mapped at the distance of the direct map. There are no interrupts.

/// The I/O ports of monitor calls. All others fault.
public enum MonitorCall {
    /// Writes to the console: rdi is the virtual address of the octets, rsi their number.
    public static var consolePort: UInt16 { 0x5300 }
    /// Lets the devices work, and waits while there is nothing to do: until a device has used a
    /// buffer that the driver wants to be told of, or until rdi nanoseconds have passed. All ones
    /// is no limit; 0 does not wait. Afterwards eax, which is to be 0 before, is `stopRequested` or
    /// 0.
    public static var waitPort: UInt16 { 0x5304 }
    /// Ends the machine; the low octet of rdi is the exit code.
    public static var exitPort: UInt16 { 0x5308 }
    /// A 32-bit read gives seconds since 1970-01-01 00:00 UTC.
    public static var timePort: UInt16 { 0x530C }

    /// From now on the guest wants to hear from `waitPort` of a request to stop; what came before
    /// is not lost.
    public static var listenPort: UInt16 { 0x5310 }
    /// Shows where the guest keeps account of its page frames, so that the monitor can give free
    /// ones back to its host. rdi is the virtual address, in the direct map, of a table with an
    /// octet for each frame from the one that the table begins in to the end of memory. An octet of
    /// `freeFrames` + n begins a run of 2^n free frames; all others are below `freeFrames`. While
    /// the guest waits, what is in such a run may vanish, but for the run's first frame.
    public static var framesPort: UInt16 { 0x5314 }

    /// What `waitPort` leaves in eax, once, after the host has asked the application to finish.
    public static var stopRequested: UInt32 { 1 }
    /// Marks free frames in the table of `framesPort`.
    public static var freeFrames: UInt8 { 0x80 }
    /// The most octets that one call writes to the console; a longer run is cut there.
    public static var consoleLimit: Int { 1 << 16 }
    /// Where the direct map lies.
    public static var directMapBase: UInt64 { 0x4000_0000_0000 }
    /// The lowest virtual address of an image. What lies below is never mapped.
    public static var lowestAddress: UInt64 { 0x20_0000 }
    /// The end of the virtual addresses that an image may use.
    public static var highestAddress: UInt64 { 0x8000_0000 }

    /// What a machine needs besides its image, in octets: the least stack, the start info (a page for
    /// it and its memory map, two for the command line), the least heap.
    public static var smallestStack: UInt64 { 32 << 10 }
    public static var startInfoSize: UInt64 { 3 << 12 }
    public static var smallestHeap: UInt64 { 64 << 10 }
    public static func requiredMemory(imageSize: UInt64) -> UInt64 {
        imageSize &+ smallestStack &+ startInfoSize &+ smallestHeap
    }
}
