// One machine: made, entered, and served until it ends.

import CSwiftletKVM
import Glibc
import SwiftletBootProtocol

/// What is to be run.
struct MachineSettings: Equatable {
    var image: String
    /// RAM in octets.
    var memory: UInt64 = 64 << 20
    var commandLine = ""
    /// What the network card is plugged into.
    enum Network: Equatable {
        /// There is no card.
        case none
        /// The tap device of this name.
        case tap(String)
        /// The host's sockets, by a process beside this one.
        case user
    }

    var network = Network.none
    /// Ports that the user network publishes.
    var ports: [PublishedPort] = []
    /// The card's address, six octets; nil for a random one.
    var hardwareAddress: [UInt8]?
    /// The file behind the disk; nil for a machine without one.
    var disk: DiskSettings?
    /// The descriptor that standard input comes from; nil for a machine without.
    var input: Int32?
}

/// A virtual machine whose guest runs in ring 3.
struct Machine {
    private static let memorySlot: UInt32 = 0
    private static let supervisorSlot: UInt32 = 1
    private static let registerSlot: UInt32 = 2

    private let kvm: KVM
    private let layout: MachineLayout
    private let memory: GuestMemory
    private let supervisor: GuestMemory
    private var devices: Devices
    private let statistics: StatisticsPage
    private let mainEnd: MainEnd?
    /// What a guest that runs a program may change of its page tables, and handles itself.
    private var pages: ProgramPages
    private var handler: GuestHandler?
    private var turn: TurnClock
    /// The library OS's code, where nothing ends a turn.
    private let libraryCode: Range<UInt64>
    /// Whether the guest has left the machine, and has waited; each is noted once.
    private var hasLeft = false
    private var hasWaited = false

    /// - Parameter began: when the monitor's process began its work.
    init(
        _ settings: MachineSettings, moments began: StartMoments = StartMoments()
    ) throws(MonitorError) {
        var moments = began
        let image = try ImageFile(path: settings.image)
        // Before there is anything of the guest's, which its network's process must not have.
        devices = Devices(network: try Self.makeNetwork(settings))
        moments.pass(.networkReady)
        layout = try MachineLayout(image: image.extent, memory: settings.memory)
        kvm = try KVM()
        moments.pass(.machineMade)
        var memory = try GuestMemory(layout.ram)
        memory.deviceRange = layout.heap
        mainEnd = try image.load(into: memory, delta: layout.imageDelta)
        moments.pass(.imageLoaded)
        // Not before, as the network's process would have it too.
        statistics = StatisticsPage()
        if let input = settings.input { devices.console = ConsoleDevice(input: input) }
        if let disk = settings.disk { devices.block = BlockDevice(try DiskFile(disk)) }
        try StartInfo.write(
            to: memory, layout: layout,
            commandLine: Array((settings.commandLine + devices.commandLineWords).utf8))
        supervisor = try GuestMemory(layout.supervisor)
        self.memory = memory
        SupervisorPages.write(to: supervisor.base)
        let tables = try Self.mapMemory(
            segments: image.segments, layout: layout, supervisor: supervisor,
            registerPages: devices.registerPages)
        pages = ProgramPages(tables, layout: layout, segments: image.segments)
        libraryCode = image.segments[0].address..<image.segments[0].end
        turn = try TurnClock(kvm.run)
        moments.pass(.pageTablesWritten)
        statistics.set(moments)

        try kvm.addMemory(slot: Self.memorySlot, memory)
        try kvm.addMemory(slot: Self.supervisorSlot, supervisor)
        try devices.showRegisters { pages throws(MonitorError) in
            try kvm.addMemory(slot: Self.registerSlot, pages, isReadOnly: true)
        }
        let features = try kvm.passFeatures()
        try kvm.setSpecialRegisters(pageTables: tables.root, features: features)
        try kvm.setEntry(image.entry, layout: layout)
    }

    private static func makeNetwork(
        _ settings: MachineSettings
    ) throws(MonitorError) -> NetworkDevice? {
        let address = settings.hardwareAddress ?? randomHardwareAddress()
        let link: NetworkLink
        switch settings.network {
        case .none: return nil
        case .tap(let name): link = .tap(try TapLink(name: name))
        case .user:
            link = .stream(
                try UserNetworkProcess.start(settings.ports, hardwareAddress: address))
        }
        return NetworkDevice(address: address, link: link)
    }

    /// Locally administered, and not a group's (IEEE 802-2014 §8.2).
    private static func randomHardwareAddress() -> [UInt8] {
        var address: [UInt8] = .init(repeating: 0, count: 6)
        _ = swiftlet_get_random(&address, address.count)
        address[0] = address[0] & 0xFC | 2
        return address
    }

    /// Builds the page tables.
    static func mapMemory(
        segments: [ImageSegment], layout: MachineLayout, supervisor: GuestMemory,
        registerPages: [UInt64]
    ) throws(MonitorError) -> PageTableBuilder {
        let tablesOffset = SupervisorPages.count * MachineLayout.pageSize
        let start = layout.supervisor.lowerBound
        var tables = PageTableBuilder(
            memory: supervisor.base + Int(tablesOffset), base: start + tablesOffset,
            capacity: Int((layout.supervisor.upperBound - start - tablesOffset) / 4096))
        func size(_ range: Range<UInt64>) -> UInt64 { range.upperBound - range.lowerBound }
        var isComplete = SupervisorPages.map(in: &tables, physical: start)
        for segment in segments where isComplete {
            isComplete = tables.map(
                virtual: segment.address,
                physical: UInt64(Int64(segment.address) + layout.imageDelta),
                size: MachineLayout.roundUp(segment.size, MachineLayout.pageSize),
                segment.permission)
        }
        isComplete =
            isComplete
            && tables.map(
                virtual: layout.stack.lowerBound, physical: layout.stackMemory.lowerBound,
                size: size(layout.stack), .readWrite)
            && tables.map(
                virtual: MonitorCall.directMapBase + layout.heap.lowerBound,
                physical: layout.heap.lowerBound, size: size(layout.heap), .readWrite)
        for page in registerPages where isComplete {
            isComplete = tables.map(
                virtual: MonitorCall.directMapBase + page, physical: page,
                size: MachineLayout.pageSize, .device)
        }
        guard isComplete else { throw MonitorError("no room for the page tables") }
        return tables
    }

    /// Gives up all that running the guest does not take.
    func confine() throws(MonitorError) {
        try Confinement.enter(
            processor: kvm.processor, link: devices.network?.link.file,
            disk: devices.block?.disk.file, input: devices.console?.file, statistics: statistics)
    }

    /// Runs the guest to its end; its exit code.
    mutating func run() throws(MonitorError) -> UInt8 {
        statistics.set(.entered, StartMoments.now())
        while true {
            guard try kvm.enter() else {
                statistics.count(.interruptions)
                endTurn()
                continue
            }
            if !hasLeft {
                hasLeft = true
                statistics.set(.firstExit, StartMoments.now())
            }
            switch Int32(swiftlet_run_exit_reason(kvm.run)) {
            case KVM_EXIT_IO:
                if let code = handlePort() { return code }
            case KVM_EXIT_MMIO:
                handleRegister()
            case KVM_EXIT_SHUTDOWN:
                statistics.count(.otherExits)
                return reportDeath("the processor shut down (a triple fault)")
            case let reason:
                return reportDeath("KVM gave the guest up (exit reason \(reason))")
            }
        }
    }

    /// A device register was read or written.
    private mutating func handleRegister() {
        let address = swiftlet_run_mmio_address(kvm.run)
        let size = Int(swiftlet_run_mmio_size(kvm.run))
        if swiftlet_run_mmio_is_write(kvm.run) != 0 {
            statistics.count(.registerWrites)
            devices.store(
                swiftlet_run_mmio_value(kvm.run), at: address, size: size, memory)
        } else {
            statistics.count(.registerReads)
            swiftlet_run_set_mmio_value(kvm.run, devices.load(address, size: size))
        }
    }

    private mutating func handlePort() -> UInt8? {
        let port = swiftlet_run_io_port(kvm.run)
        guard swiftlet_run_io_is_write(kvm.run) != 0 else {
            statistics.count(.timeReads)
            answerPort(port)
            return nil
        }
        let registers = kvm.registers
        switch port {
        case MonitorCall.consolePort:
            statistics.count(.consoleCalls)
            if let octets = Self.consoleOctets(registers.rdi, registers.rsi, layout, memory) {
                Console.write(octets)
            }
        case MonitorCall.waitPort:
            statistics.count(.waits)
            if !hasWaited, registers.rdi > 0 {
                hasWaited = true
                statistics.set(.firstWait, StartMoments.now())
            }
            if devices.wait(registers.rdi, memory) {
                swiftlet_run_set_result(kvm.run, MonitorCall.stopRequested)
            }
            if registers.rdi > 0 { turn.pass() }
            if let traffic = devices.network?.traffic { statistics.set(traffic) }
        case MonitorCall.listenPort:
            devices.input.isWanted = true
        case MonitorCall.framesPort:
            devices.frames.show(table: registers.rdi, memory)
        case MonitorCall.pagesPort:
            statistics.count(.otherExits)
            let result = pages.change(at: registers.rdi, count: registers.rsi, memory)
            swiftlet_run_set_result(kvm.run, result.rawValue)
        case MonitorCall.faultsPort:
            handler = GuestHandler(entry: registers.rdi, stackTop: registers.rsi, memory)
        case MonitorCall.turnPort:
            statistics.count(.otherExits)
            turn.start(registers.rdi)
        case MonitorCall.exitPort:
            return UInt8(truncatingIfNeeded: registers.rdi)
        case UInt16(SupervisorPages.faultPort):
            statistics.count(.faults)
            return handleFault(registers)
        default: statistics.count(.otherExits)
        }
        return nil
    }

    /// A read of a port: the time, or ones.
    private func answerPort(_ port: UInt16) {
        let size = min(
            Int(swiftlet_run_io_octets(kvm.run)),
            kvm.runSize - Int(swiftlet_run_io_offset(kvm.run)))
        let data = UnsafeMutableRawPointer(kvm.run) + Int(swiftlet_run_io_offset(kvm.run))
        data.initializeMemory(as: UInt8.self, repeating: 0xFF, count: size)
        if port == MonitorCall.timePort, size == 4 {
            data.storeBytes(of: UInt32(truncatingIfNeeded: time(nil)), as: UInt32.self)
        }
    }

    /// What a console call names, cut at the limit; nil if it is not all the guest's.
    static func consoleOctets(
        _ address: UInt64, _ length: UInt64, _ layout: MachineLayout, _ memory: GuestMemory
    ) -> UnsafeRawBufferPointer? {
        let length = min(length, UInt64(MonitorCall.consoleLimit))
        guard let physical = layout.physicalAddress(address, length: length),
            let octets = memory.pointer(physical, length)
        else { return nil }
        return UnsafeRawBufferPointer(start: octets, count: Int(length))
    }

    // MARK: Faults

    /// The exception whose stub was reached; nil if it was the guest that wrote to the port, or if it
    /// handles the exception itself.
    private mutating func handleFault(_ registers: kvm_regs) -> UInt8? {
        // On some hosts `syscall` leads here in ring 0, which leaves nothing on the stack.
        if SupervisorPages.isSystemCall(at: registers.rip) {
            return endOrEnter(Self.systemCall(registers), registers)
        }
        guard let vector = SupervisorPages.vector(at: registers.rip) else { return nil }
        // What the processor pushed: an error code, RIP, CS, RFLAGS, RSP, SS.
        let offset = registers.rsp &- SupervisorPages.descriptors
        let start = supervisor.range.lowerBound
        guard offset < SupervisorPages.stackTop - SupervisorPages.descriptors,
            let frame = supervisor.pointer(start + offset, 48)
        else { return reportDeath("an exception without a frame") }
        let hasErrorCode = SupervisorPages.hasErrorCode(vector)
        func word(_ index: Int) -> UInt64 {
            frame.load(fromByteOffset: (index + (hasErrorCode ? 1 : 0)) * 8, as: UInt64.self)
        }
        guard word(1) & 3 == 3 else { return reportDeath("an exception in the monitor's stubs") }
        // Of ring 3 the stub was reached, and is forbidden.
        if SupervisorPages.isSystemCall(at: word(0)) {
            var caller = registers
            caller.rsp = word(3)
            return endOrEnter(Self.systemCall(caller), registers)
        }
        if vector == 6, let mainEnd, word(0) >= mainEnd.start, word(0) < mainEnd.end {
            // The stub's `iretq` goes there, still in ring 3, on a stack as behind a call.
            swiftlet_run_set_argument(kvm.run, word(0))
            let stack = word(3) & ~15 &- 8
            frame.storeBytes(of: mainEnd.handler, as: UInt64.self)
            frame.storeBytes(of: stack, toByteOffset: 24, as: UInt64.self)
            return nil
        }
        let event = Interruption(
            vector: UInt64(vector), errorCode: hasErrorCode ? word(-1) : 0,
            address: kvm.faultAddress(), rip: word(0), rflags: word(2), rsp: word(3), cs: word(1),
            ss: word(4))
        return endOrEnter(event, registers)
    }

    /// `syscall` is no instruction here. It left the address behind it in rcx, and the flags in r11.
    private static func systemCall(_ registers: kvm_regs) -> Interruption {
        Interruption(
            vector: 6, rip: registers.rcx &- 2, rflags: registers.r11, rsp: registers.rsp)
    }

    /// Has the guest's handler deal with an exception; without one, it ends the machine.
    private func endOrEnter(_ event: Interruption, _ registers: kvm_regs) -> UInt8? {
        let size: UInt64 = 40
        let offset = SupervisorPages.stackTop - SupervisorPages.descriptors - size
        guard let handler,
            let frame = supervisor.pointer(supervisor.range.lowerBound + offset, size)
        else {
            var interrupted = registers
            (interrupted.rip, interrupted.rflags) = (event.rip, event.rflags)
            interrupted.rsp = event.rsp
            let fault = Fault(
                vector: Int(event.vector), errorCode: event.errorCode, address: event.address,
                registers: interrupted)
            Console.write(fault.report(memory, layout))
            return fault.exitCode
        }
        handler.tell(event, memory)
        // The stub's `iretq` leads there, whatever led to the stub.
        let words = [handler.entry, event.cs, GuestHandler.flags, handler.stack, event.ss]
        for (index, word) in words.enumerated() {
            frame.storeBytes(of: word, toByteOffset: index * 8, as: UInt64.self)
        }
        swiftlet_run_set_stack(kvm.run, SupervisorPages.stackTop - size)
        return nil
    }

    /// Ends the turn of what runs, if its time is over.
    private mutating func endTurn() {
        guard turn.hasEnded(), let handler else { return }
        let registers = kvm.registers
        // Not in the library OS, nor on the way to a stub.
        guard !libraryCode.contains(registers.rip),
            registers.rip < MachineLayout.supervisorBase, !kvm.hasPendingException()
        else { return turn.postpone() }
        handler.tell(
            Interruption(
                vector: MonitorCall.turnVector, rip: registers.rip, rflags: registers.rflags,
                rsp: registers.rsp), memory)
        turn.stop()
        swiftlet_run_redirect(kvm.run, handler.entry, handler.stack, GuestHandler.flags)
    }

    private func reportDeath(_ reason: String) -> UInt8 {
        Console.write("\nswiftlet: fault: \(reason), at \(String(kvm.registers.rip, radix: 16))\n")
        return FaultExitCode.abort
    }
}
