// Page frames: a buddy allocator over the RAM that the monitor gave us.
//
// Frames that were never handed out stay untouched behind a watermark in each region, so that a
// large VM costs its host no memory before it is used. One octet a frame tells free blocks (with
// their order) from used ones; a used frame's octet belongs to its owner (the heap's tags).

import SwiftletMachine

/// Hands out runs of frames. The machine has one, behind `PageFrames`; tests make their own.
public struct FrameAllocator: ~Copyable {
    private static let size = PageFrames.size
    private static let sizeShift: UInt64 = 12
    /// Orders 0…18: up to 1 GiB in one block; a longer run comes from a fresh region.
    private static let orders = 19
    private static let freeMark: UInt8 = 0x80
    private static let maximumRegions = 32

    private struct FreeBlock {
        var next: UnsafeMutablePointer<FreeBlock>?
        var previous: UnsafeMutablePointer<FreeBlock>?
    }

    private struct Region {
        var watermark: UInt64
        var end: UInt64
    }

    private var freeLists: InlineArray<19, UnsafeMutablePointer<FreeBlock>?> = .init(repeating: nil)
    /// A bit for each order whose free list is not empty.
    private var freeOrders: UInt32 = 0
    private var regions: InlineArray<32, Region> =
        .init(repeating: Region(watermark: 0, end: 0))
    private var regionCount = 0
    /// One octet a frame, indexed by frame number from `firstFrame`. It begins in the first frame of
    /// a machine that has one region (`MonitorCall.framesPort`).
    private(set) var tags: UnsafeMutablePointer<UInt8>?
    private var firstFrame: UInt64 = 0
    private var frameLimit: UInt64 = 0

    /// Frames that the allocator manages, free or not.
    private(set) var totalCount = 0
    /// Frames that can still be handed out.
    private(set) var freeCount = 0

    /// Adds RAM; call before `finishRegions`. What is not a whole frame is left out.
    mutating func addRegion(_ region: MemoryRegion) {
        let first = (region.start + UInt64(Self.size) - 1) >> Self.sizeShift
        let end = region.end >> Self.sizeShift
        guard first < end, regionCount < Self.maximumRegions else { return }
        regions[regionCount] = Region(watermark: first, end: end)
        regionCount += 1
    }

    /// Takes the frame tags out of the added regions; allocation works from here on.
    ///
    /// - Returns: false if no region can hold them.
    mutating func finishRegions() -> Bool {
        var total: UInt64 = 0
        var lowest = UInt64.max
        var highest: UInt64 = 0
        for index in 0..<regionCount {
            total += regions[index].end - regions[index].watermark
            lowest = min(lowest, regions[index].watermark)
            highest = max(highest, regions[index].end)
        }
        // A map that puts a little RAM far away would need more tags than it is worth.
        guard regionCount > 0, (highest - lowest) >> Self.sizeShift <= total / 8 + 1 else {
            return false
        }
        let tagFrames = (highest - lowest + UInt64(Self.size) - 1) >> Self.sizeShift
        for index in 0..<regionCount
        where regions[index].end - regions[index].watermark >= tagFrames {
            let start = regions[index].watermark
            regions[index].watermark += tagFrames
            let pointer = DirectMap.pointer(to: GuestPhysicalAddress(start << Self.sizeShift))
            tags = pointer.initializeMemory(
                as: UInt8.self, repeating: 0, count: Int(highest - lowest))
            firstFrame = lowest
            frameLimit = highest
            totalCount = Int(total - tagFrames)
            freeCount = totalCount
            return true
        }
        return false
    }

    /// Gives memory that was in use at boot to the allocator. It must lie between the lowest and
    /// the highest added region, or it is left out.
    mutating func donate(_ region: MemoryRegion) {
        let first = (region.start + UInt64(Self.size) - 1) >> Self.sizeShift
        let end = region.end >> Self.sizeShift
        guard first < end, first >= firstFrame, end <= frameLimit else { return }
        totalCount += Int(end - first)
        free(frame: first, count: end - first)
    }

    /// `count` contiguous frames in the direct map; nil if there is no such run.
    // Not inlined: a constant count would turn the zeroing into a string instruction, which is
    // slow where it is emulated.
    @inline(never)
    mutating func allocate(_ count: Int, zeroed: Bool = true) -> UnsafeMutableRawPointer? {
        guard count > 0, let frame = takeRun(UInt64(count)) else { return nil }
        freeCount -= count
        let pointer = DirectMap.pointer(to: GuestPhysicalAddress(frame << Self.sizeShift))
        if zeroed {
            pointer.initializeMemory(as: UInt8.self, repeating: 0, count: count * Self.size)
        }
        return pointer
    }

    /// Gives back what `allocate` returned, with the same count (or any part of it, frame by frame).
    mutating func free(_ pointer: UnsafeMutableRawPointer, count: Int) {
        free(frame: frame(of: pointer), count: UInt64(count))
    }

    /// The owner's tag of a used frame: 0…127, 0 when handed out.
    mutating func tag(of pointer: UnsafeRawPointer) -> UInt8 {
        tags.unsafelyUnwrapped[Int(frame(of: pointer) - firstFrame)]
    }

    mutating func setTag(_ tag: UInt8, of pointer: UnsafeRawPointer, count: Int) {
        let first = Int(frame(of: pointer) - firstFrame)
        for index in 0..<count { tags.unsafelyUnwrapped[first + index] = tag }
    }

    /// Frames after `pointer`'s that carry `tag`, without a gap.
    mutating func countFollowing(_ pointer: UnsafeRawPointer, tag: UInt8) -> Int {
        var index = Int(frame(of: pointer) - firstFrame) + 1
        let start = index
        let limit = Int(frameLimit - firstFrame)
        while index < limit, tags.unsafelyUnwrapped[index] == tag { index += 1 }
        return index - start
    }

    /// True if the heap may look up a tag there: a stray pointer is caught, not followed.
    mutating func manages(_ pointer: UnsafeRawPointer) -> Bool {
        let frame = frame(of: pointer)
        return frame >= firstFrame && frame < frameLimit
    }

    private mutating func frame(of pointer: UnsafeRawPointer) -> UInt64 {
        DirectMap.physicalAddress(of: pointer).rawValue >> Self.sizeShift
    }

    private mutating func order(for count: UInt64) -> Int {
        count <= 1 ? 0 : 64 - (count - 1).leadingZeroBitCount
    }

    // MARK: Blocks

    private mutating func takeRun(_ count: UInt64) -> UInt64? {
        let order = order(for: count)
        guard order < Self.orders else { return takeFresh(count, alignment: 1) }
        guard let frame = takeBlock(order) else {
            // No block of the rounded Self.size; the exact run may still fit behind a watermark.
            return takeFresh(count, alignment: 1)
        }
        // What the rounding added goes back.
        let extra = (UInt64(1) << UInt64(order)) - count
        if extra > 0 { release(frame: frame + count, count: extra) }
        return frame
    }

    private mutating func takeBlock(_ order: Int) -> UInt64? {
        let candidates = freeOrders >> UInt32(order)
        var found = order + candidates.trailingZeroBitCount
        guard candidates != 0, let block = freeLists[found] else {
            return takeFresh(1 << UInt64(order), alignment: 1 << UInt64(order))
        }
        let frame = frame(of: block)
        unlink(block, order: found)
        while found > order {
            found -= 1
            link(frame + (1 << UInt64(found)), order: found)
        }
        return frame
    }

    private mutating func takeFresh(_ count: UInt64, alignment: UInt64) -> UInt64? {
        for index in 0..<regionCount {
            let start = (regions[index].watermark + alignment - 1) & ~(alignment - 1)
            guard start <= regions[index].end, regions[index].end - start >= count else { continue }
            let skipped = regions[index].watermark
            regions[index].watermark = start + count
            if start > skipped { release(frame: skipped, count: start - skipped) }
            return start
        }
        return nil
    }

    private mutating func free(frame: UInt64, count: UInt64) {
        freeCount += Int(count)
        release(frame: frame, count: count)
    }

    /// Splits a run into aligned blocks and frees each.
    private mutating func release(frame: UInt64, count: UInt64) {
        var frame = frame
        var left = count
        while left > 0 {
            let order = min(
                frame.trailingZeroBitCount, 63 - left.leadingZeroBitCount, Self.orders - 1)
            releaseBlock(frame, order: order)
            frame += 1 << UInt64(order)
            left -= 1 << UInt64(order)
        }
    }

    private mutating func releaseBlock(_ frame: UInt64, order: Int) {
        let tags = tags.unsafelyUnwrapped
        var frame = frame
        var order = order
        for index in 0..<(1 << order) { tags[Int(frame - firstFrame) + index] = 0 }
        // Join with the other half of the next larger block as long as that is free as a whole.
        while order < Self.orders - 1 {
            let buddy = frame ^ 1 << UInt64(order)
            guard buddy >= firstFrame, buddy + 1 << UInt64(order) <= frameLimit,
                tags[Int(buddy - firstFrame)] == Self.freeMark | UInt8(truncatingIfNeeded: order)
            else { break }
            unlink(block(buddy), order: order)
            frame = min(frame, buddy)
            order += 1
        }
        link(frame, order: order)
    }

    private mutating func block(_ frame: UInt64) -> UnsafeMutablePointer<FreeBlock> {
        DirectMap.pointer(to: GuestPhysicalAddress(frame << Self.sizeShift))
            .assumingMemoryBound(to: FreeBlock.self)
    }

    private mutating func link(_ frame: UInt64, order: Int) {
        let block = block(frame)
        block.pointee = FreeBlock(next: freeLists[order], previous: nil)
        freeLists[order]?.pointee.previous = block
        freeLists[order] = block
        freeOrders |= 1 << UInt32(order)
        tags.unsafelyUnwrapped[Int(frame - firstFrame)] =
            Self.freeMark | UInt8(truncatingIfNeeded: order)
    }

    private mutating func unlink(_ block: UnsafeMutablePointer<FreeBlock>, order: Int) {
        let (next, previous) = (block.pointee.next, block.pointee.previous)
        next?.pointee.previous = previous
        if let previous {
            previous.pointee.next = next
        } else {
            freeLists[order] = next
            if next == nil { freeOrders &= ~(1 << UInt32(order)) }
        }
        tags.unsafelyUnwrapped[Int(frame(of: block) - firstFrame)] = 0
    }
}
