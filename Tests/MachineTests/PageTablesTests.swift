// Page tables built in host memory, and read back as a CPU would (SDM volume 3 §4.5).

import Testing

@testable import SwiftletMachine

struct PageTablesTests {
    /// Hands out zeroed, page-aligned memory, at most `limit` pages.
    private final class Pages {
        private var pages: [UnsafeMutableRawPointer] = []
        private let limit: Int

        init(limit: Int = 64) { self.limit = limit }

        deinit { for page in pages { page.deallocate() } }

        func allocate() -> UnsafeMutableRawPointer? {
            guard pages.count < limit else { return nil }
            let page = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
            page.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
            pages.append(page)
            return page
        }

        var count: Int { pages.count }
    }

    private static let noExecute: UInt64 = 1 << 63
    private static let addressMask: UInt64 = 0x000F_FFFF_FFFF_F000

    @Test func mapsPagesOfTheLargestSizeThatFits() throws {
        let pages = Pages()
        let tables = try #require(PageTables(hasGigabytePages: true, allocate: pages.allocate))
        // 4 KiB up to 2 MiB, 2 MiB up to 1 GiB, one of 1 GiB, and 4 KiB at the end.
        let start: UInt64 = 0x3FFF_F000 - 0x20_0000
        let end: UInt64 = 0x8000_0000 + 0x3000
        #expect(
            tables.map(
                virtual: start, physical: start, size: end - start, access: .readWrite,
                allocate: pages.allocate))
        let large: UInt64 = 1 << 7
        let small = try #require(tables.entry(for: start))
        #expect(small & large == 0)
        #expect(small & Self.addressMask == start)
        let huge = try #require(tables.entry(for: 0x4000_0000))
        #expect(huge & large != 0)
        #expect(huge & Self.addressMask == 0x4000_0000)
        let last = try #require(tables.entry(for: end - 1))
        #expect(last & Self.addressMask == end - 0x1000)
        #expect(tables.entry(for: end) == nil)
        #expect(tables.entry(for: start - 1) == nil)
    }

    @Test func nothingIsWritableAndExecutable() throws {
        let pages = Pages()
        let tables = try #require(PageTables(hasGigabytePages: false, allocate: pages.allocate))
        for (index, access) in [PageAccess.code, .readOnly, .readWrite, .device].enumerated() {
            let address = 0x23_0000 + UInt64(index) * 0x1000
            #expect(
                tables.map(
                    virtual: address, physical: address, size: 0x1000, access: access,
                    allocate: pages.allocate))
            let entry = try #require(tables.entry(for: address))
            #expect(entry & 2 == 0 || entry & Self.noExecute != 0)
        }
    }

    @Test func unmapsOnePageOnly() throws {
        let pages = Pages()
        let tables = try #require(PageTables(hasGigabytePages: false, allocate: pages.allocate))
        #expect(
            tables.map(
                virtual: 0x1000, physical: 0x8000, size: 0x3000, access: .readWrite,
                allocate: pages.allocate))
        #expect(tables.unmap(virtual: 0x2000))
        #expect(tables.entry(for: 0x2000) == nil)
        #expect(tables.entry(for: 0x1000) != nil)
        #expect(tables.entry(for: 0x3000) != nil)
    }

    @Test func saysWhenMemoryForTablesRunsOut() throws {
        let pages = Pages(limit: 2)
        let tables = try #require(PageTables(hasGigabytePages: false, allocate: pages.allocate))
        #expect(
            !tables.map(
                virtual: 0x1000, physical: 0x1000, size: 0x1000, access: .readWrite,
                allocate: pages.allocate))
    }
}
