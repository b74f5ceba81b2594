// Where things lie in the machine: guest-physical and virtual addresses, all from the image's extent
// and the size of memory.
//
//     physical                              virtual
//     0          device registers           direct map + address
//     64 KiB     RAM: the image             as linked
//                     the stack             behind the image and an unmapped page
//                     start info, heap      direct map + address
//     above RAM  descriptors, page tables   upper half, supervisor only; tables not at all
//
// No page is mapped twice, so nothing that is executable can be written by another name.

import SwiftletBootProtocol

/// The addresses of one machine. Sizes and addresses in octets.
struct MachineLayout: Equatable {
    static let pageSize: UInt64 = 4096
    static let largePageSize: UInt64 = 1 << 21
    /// Room for device registers below RAM, a page each.
    static let deviceWindow: UInt64 = 0x1_0000
    static let largestStack: UInt64 = 1 << 20
    /// The longest command line, its NUL included.
    static let commandLineLimit = 8192
    /// Where descriptors and stubs lie, out of the guest's reach.
    static let supervisorBase: UInt64 = 0xFFFF_8000_0000_0000

    /// The image in virtual memory; whole pages.
    let image: Range<UInt64>
    /// RAM in physical memory.
    let ram: Range<UInt64>
    /// The stack in physical memory.
    let stackMemory: Range<UInt64>
    /// The stack in virtual memory; the pages around it are not mapped.
    let stack: Range<UInt64>
    /// Start info and heap in physical memory: what the guest takes for its RAM.
    let heap: Range<UInt64>
    /// Descriptors and page tables in physical memory.
    let supervisor: Range<UInt64>

    /// - Parameters:
    ///   - image: the virtual addresses that the image's segments cover.
    ///   - memory: RAM in octets; a part of a page is left out.
    init(image: Range<UInt64>, memory: UInt64) throws(MonitorError) {
        let page = Self.pageSize
        guard image.lowerBound % page == 0, image.lowerBound >= MonitorCall.lowestAddress,
            image.upperBound <= MonitorCall.highestAddress
        else { throw MonitorError("the image does not lie at Swiftlet's addresses") }
        let imageEnd = Self.roundUp(image.upperBound, page)
        let imageSize = imageEnd - image.lowerBound
        let size = memory / page * page
        let needed = MonitorCall.requiredMemory(imageSize: imageSize)
        guard size >= needed, size <= 1 << 40 else {
            throw MonitorError(
                size < needed
                    ? "the image needs \((needed + 1023) / 1024) KiB of memory, and gets "
                        + "\(memory / 1024) KiB\n  Give it more with -m."
                    : "no machine has more than 1 TiB of memory")
        }
        // An eighth of memory, as under other monitors, if image and heap leave so much.
        let stackSize = min(
            max(Self.roundUp(size / 8, page), MonitorCall.smallestStack), Self.largestStack,
            size - needed + MonitorCall.smallestStack)
        self.image = image.lowerBound..<imageEnd
        let start = Self.deviceWindow
        ram = start..<(start + size)
        let stackStart = start + imageSize
        stackMemory = stackStart..<(stackStart + stackSize)
        let bottom = imageEnd + page
        stack = bottom..<(bottom + stackSize)
        heap = stackMemory.upperBound..<ram.upperBound
        let above = Self.roundUp(ram.upperBound, Self.largePageSize)
        supervisor = above..<(above + Self.supervisorSize(image: imageSize, ram: size))
    }

    /// Physical minus virtual address of the image.
    var imageDelta: Int64 { Int64(ram.lowerBound) - Int64(image.lowerBound) }
    /// The physical address of hvm_start_info.
    var startInfo: UInt64 { heap.lowerBound }
    var commandLine: UInt64 { heap.lowerBound + Self.pageSize }

    /// Where a device's registers lie.
    static func deviceAddress(_ index: Int) -> UInt64 { UInt64(index + 1) * pageSize }

    /// The physical address of `length` octets at a virtual address, if they are one of the guest's
    /// readable runs: image, stack, heap.
    func physicalAddress(_ virtual: UInt64, length: UInt64) -> UInt64? {
        let directBase = MonitorCall.directMapBase
        let heapVirtual = (heap.lowerBound + directBase)..<(heap.upperBound + directBase)
        for (range, start) in [
            (image, ram.lowerBound), (stack, stackMemory.lowerBound),
            (heapVirtual, heap.lowerBound),
        ] where range.contains(virtual) && length <= range.upperBound - virtual {
            return virtual - range.lowerBound + start
        }
        return nil
    }

    /// Page tables: for the image and the heap at 4 KiB where 2 MiB does not fit, and what is above
    /// them; for a program, whose pages may lie far apart, one for each 64 KiB of memory, of which the
    /// host gives what is used; and the descriptors.
    private static func supervisorSize(image: UInt64, ram: UInt64) -> UInt64 {
        let program = 64 + min(ram >> 16, 1 << 16)
        let tables = 32 + image / largePageSize + ram >> 30 + 8 + program
        return (SupervisorPages.count + tables) * pageSize
    }

    static func roundUp(_ value: UInt64, _ unit: UInt64) -> UInt64 {
        (value + unit - 1) / unit * unit
    }
}
