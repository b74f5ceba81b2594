// From the boot code to the application's `main`.

import CSwiftletMachine
import SwiftletBootProtocol
import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    @_silgen_name("main")
    private func applicationMain(
        _ count: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    ) -> Int32

    /// Called by the boot code, on the boot stack and boot page tables.
    @_cdecl("swiftlet_start")
    func start(startInfo: UInt64, imageDelta: Int64) {
        begin(startInfo: startInfo, imageDelta: imageDelta)
        guard
            Platform.buildPageTables(allocate: { PageFrames.allocate(1) }),
            let stack = Stack.make()
        else { Faults.fail(tooLittleMemory) }
        swiftlet_switch_stack(stack, continueOnStack)
    }

    /// Called by the boot code in ring 3, on the application's stack: page tables, descriptors and
    /// processor state are the built-in monitor's.
    @_cdecl("swiftlet_start_unprivileged")
    func startUnprivileged(
        startInfo: UInt64, imageDelta: Int64, stackBottom: UInt64, stackTop: UInt64
    ) {
        Faults.stack = StackBounds(bottom: stackBottom, top: stackTop)
        begin(startInfo: startInfo, imageDelta: imageDelta)
        PageFrames.showToMonitor()
        Exit.exit(code: applicationMain(0, nil))
    }

    @inline(never)
    private func begin(startInfo: UInt64, imageDelta: Int64) {
        Platform.begin(startInfo: startInfo, imageDelta: imageDelta)
        Platform.forEachFreeRAM { PageFrames.addRegion($0) }
        guard PageFrames.finishRegions() else { Faults.fail(tooLittleMemory) }
        Boot.readCommandLine()
    }

    private var tooLittleMemory: StaticString {
        "too little memory to start: give the machine more (-m)"
    }

    /// The rest of boot, on the application's stack.
    private let continueOnStack: @convention(c) () -> Void = {
        PageFrames.donate(Platform.unmapBootOnlyMemory())
        Exit.exit(code: applicationMain(0, nil))
    }

    /// The one stack that all tasks run on.
    private enum Stack {
        private static let smallest = 8
        private static let largest = 256

        /// Between 32 KiB and 1 MiB, an eighth of memory, above the image behind an unmapped page.
        static func make() -> UnsafeMutableRawPointer? {
            let frames = min(max(PageFrames.totalCount / 8, smallest), largest)
            let size = UInt64(frames * PageFrames.size)
            let bottom = Platform.imageEnd + UInt64(PageFrames.size)
            guard let memory = PageFrames.allocate(frames, zeroed: false),
                Platform.mapStack(virtual: bottom, memory: memory, size: size)
            else { return nil }
            Faults.stack = StackBounds(bottom: bottom, top: bottom + size)
            return UnsafeMutableRawPointer(bitPattern: UInt(bottom + size))
        }
    }
#endif
