// The machine as a whole: where the image lies, its page tables, and what memory is left.

import CSwiftletMachine

#if hasFeature(Embedded)
    /// What boot found out, and the page tables that it left.
    public enum Platform {
        /// The monitor's start info. Its memory may be reused once boot has read what it needs.
        nonisolated(unsafe) public private(set) static var startInfo = StartInfo(physicalAddress: 0)
        /// Physical minus virtual address of the image.
        nonisolated(unsafe) private static var imageDelta: Int64 = 0
        nonisolated(unsafe) static var tables: PageTables?
        nonisolated(unsafe) static var allocateTable: () -> UnsafeMutableRawPointer? = {
            nil
        }

        private static let pageMask: UInt64 = 4095

        /// First step of boot, on the boot page tables: CPU set up, start info at hand.
        public static func begin(startInfo physicalAddress: UInt64, imageDelta delta: Int64) {
            imageDelta = delta
            startInfo = StartInfo(physicalAddress: physicalAddress)
            if BuiltInMonitor.isPresent { return }
            ACPI.root = startInfo.acpiRoot
            Processor.initialise()
        }

        /// The image's end in virtual memory, packed files included.
        public static var imageEnd: UInt64 {
            let patched = swiftlet_image_header.image_end
            let linked = UInt64(swiftlet_address_of_image_end())
            return ((patched > linked ? patched : linked) + pageMask) & ~pageMask
        }

        /// The image's place in physical memory.
        public static var imageMemory: MemoryRegion {
            MemoryRegion(
                start: physical(UInt64(swiftlet_address_of_text_start())), end: physical(imageEnd))
        }

        /// Files that the builder packed behind the program.
        public static var packedFiles: UnsafeRawBufferPointer {
            let header = swiftlet_image_header
            return UnsafeRawBufferPointer(
                start: UnsafeRawPointer(bitPattern: UInt(header.files_address)),
                count: Int(header.files_size))
        }

        /// Calls `body` with each run of RAM that nothing at boot occupies, page 0 left out.
        public static func forEachFreeRAM(_ body: (MemoryRegion) -> Void) {
            for index in 0..<startInfo.memoryMapCount {
                guard let ram = startInfo.ram(at: index) else { continue }
                var start = max(ram.start, 4096)
                while start < ram.end {
                    // The next thing in the way, and where it ends.
                    var nearest = MemoryRegion(start: ram.end, end: ram.end)
                    func consider(_ taken: MemoryRegion) {
                        if taken.end > start, taken.start < nearest.start { nearest = taken }
                    }
                    consider(imageMemory)
                    startInfo.forEachReserved {
                        consider(
                            MemoryRegion(
                                start: $0.start & ~pageMask, end: ($0.end + pageMask) & ~pageMask))
                    }
                    if nearest.start > start {
                        body(MemoryRegion(start: start, end: nearest.start))
                    }
                    start = max(nearest.end, start)
                }
            }
        }

        /// The final page tables: the image with W^X, RAM without execution, nothing at page 0, no
        /// second mapping of the image.
        ///
        /// - Returns: false if memory does not suffice.
        public static func buildPageTables(
            allocate: @escaping () -> UnsafeMutableRawPointer?
        ) -> Bool {
            allocateTable = allocate
            guard
                let tables = PageTables(
                    hasGigabytePages: Processor.features.hasGigabytePages, allocate: allocate)
            else { return false }
            let text = UInt64(swiftlet_address_of_text_start())
            let rodata = UInt64(swiftlet_address_of_rodata_start())
            let data = UInt64(swiftlet_address_of_data_start())
            let bootOnly = UInt64(swiftlet_address_of_boot_only_start())
            let linkedEnd = (UInt64(swiftlet_address_of_image_end()) + pageMask) & ~pageMask
            func mapImage(_ start: UInt64, _ end: UInt64, _ access: PageAccess) -> Bool {
                start >= end
                    || tables.map(
                        virtual: start, physical: physical(start), size: end - start,
                        access: access, allocate: allocate)
            }
            var complete =
                mapImage(text, rodata, .code)
                && mapImage(rodata, data, .readOnly)
                && mapImage(data, linkedEnd, .readWrite)
                && mapImage(linkedEnd, imageEnd, .readOnly)
            func mapDirectly(_ start: UInt64, _ end: UInt64) {
                guard start < end, complete else { return }
                complete = tables.map(
                    virtual: start + UInt64(DirectMap.base), physical: start, size: end - start,
                    access: .readWrite, allocate: allocate)
            }
            // Boot-only memory becomes ordinary memory; the rest of the image has one mapping.
            let image = MemoryRegion(
                start: imageMemory.start, end: physical(bootOnly))
            let files = MemoryRegion(start: physical(linkedEnd), end: physical(imageEnd))
            for index in 0..<startInfo.memoryMapCount {
                guard let ram = startInfo.ram(at: index) else { continue }
                let start = max((ram.start + pageMask) & ~pageMask, 4096)
                let end = ram.end & ~pageMask
                guard image.start >= start, image.end <= end else {
                    mapDirectly(start, end)
                    continue
                }
                mapDirectly(start, image.start)
                mapDirectly(image.end, files.start)
                mapDirectly(files.end, end)
            }
            guard complete else { return false }
            self.tables = tables
            swiftlet_write_cr3(tables.root)
            return true
        }

        /// Takes the mapping of what only boot used; its memory may then be given away.
        public static func unmapBootOnlyMemory() -> MemoryRegion {
            var page = UInt64(swiftlet_address_of_boot_only_start())
            let end = UInt64(swiftlet_address_of_boot_only_end())
            let memory = MemoryRegion(start: physical(page), end: physical(end))
            while page < end {
                _ = tables?.unmap(virtual: page)
                swiftlet_invlpg(UInt(page))
                page += 4096
            }
            return memory
        }

        /// Where device registers (or firmware tables) can be accessed, mapped if they were not.
        public static func mapDevice(
            _ address: GuestPhysicalAddress, size: UInt64
        ) -> UnsafeMutableRawPointer {
            let pointer = DirectMap.pointer(to: address)
            guard let tables else { return pointer }
            var page = address.rawValue & ~pageMask
            while page < address.rawValue &+ size {
                let virtual = page &+ UInt64(DirectMap.base)
                if tables.entry(for: virtual) == nil {
                    guard
                        tables.map(
                            virtual: virtual, physical: page, size: 4096, access: .device,
                            allocate: allocateTable)
                    else { Faults.fail("no memory left to map a device") }
                }
                page &+= 4096
            }
            return pointer
        }

        /// Maps fresh memory at `virtual`, above the image: the application's stack.
        public static func mapStack(virtual: UInt64, memory: UnsafeMutableRawPointer, size: UInt64)
            -> Bool
        {
            guard let tables else { return false }
            return tables.map(
                virtual: virtual, physical: DirectMap.physicalAddress(of: memory).rawValue,
                size: size, access: .readWrite, allocate: allocateTable)
        }

        /// The physical address of one of the image's statics.
        static func physicalAddress(ofImage pointer: UnsafeRawPointer) -> UInt64 {
            physical(UInt64(UInt(bitPattern: pointer)))
        }

        static func physical(_ virtual: UInt64) -> UInt64 {
            virtual &+ UInt64(bitPattern: imageDelta)
        }
    }
#endif
