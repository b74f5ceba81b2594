// Linux's KVM: the calls that make a virtual machine with one processor
// (Documentation/virt/kvm/api.rst).

import CSwiftletKVM
import Glibc

/// One virtual machine and its processor.
struct KVM {
    private static let version: Int32 = 12
    private static let cpuidEntries = 256

    private let system: Int32
    private let machine: Int32
    let processor: Int32
    /// The area that KVM and this process share: why the processor stopped.
    let run: UnsafeMutablePointer<kvm_run>
    /// Octets of that area.
    let runSize: Int

    init() throws(MonitorError) {
        system = open("/dev/kvm", O_RDWR | O_CLOEXEC)
        guard system >= 0 else { throw .system("cannot open /dev/kvm") }
        guard swiftlet_ioctl(system, swiftlet_kvm_get_api_version, 0) == Self.version else {
            throw MonitorError("/dev/kvm speaks another version of KVM's interface")
        }
        guard
            swiftlet_ioctl(system, swiftlet_kvm_check_extension, UInt(KVM_CAP_SYNC_REGS)) & 1 == 1
        else { throw MonitorError("this kernel's KVM is too old (KVM_CAP_SYNC_REGS)") }
        machine = swiftlet_ioctl(system, swiftlet_kvm_create_vm, 0)
        guard machine >= 0 else { throw .system("cannot create a virtual machine") }
        processor = swiftlet_ioctl(machine, swiftlet_kvm_create_vcpu, 0)
        guard processor >= 0 else { throw .system("cannot create a virtual processor") }
        runSize = Int(swiftlet_ioctl(system, swiftlet_kvm_get_vcpu_mmap_size, 0))
        guard runSize >= MemoryLayout<kvm_run>.size,
            let area = mmap(nil, runSize, PROT_READ | PROT_WRITE, MAP_SHARED, processor, 0),
            area != MAP_FAILED
        else { throw .system("cannot map the virtual processor") }
        run = area.assumingMemoryBound(to: kvm_run.self)
        swiftlet_run_want_registers(run)
    }

    /// Gives the machine memory. Of what the guest may only read, each write leaves the machine.
    func addMemory(
        slot: UInt32, _ memory: GuestMemory, isReadOnly: Bool = false
    ) throws(MonitorError) {
        var region = kvm_userspace_memory_region()
        region.slot = slot
        region.flags = isReadOnly ? UInt32(KVM_MEM_READONLY) : 0
        region.guest_phys_addr = memory.range.lowerBound
        region.memory_size = memory.range.upperBound - memory.range.lowerBound
        region.userspace_addr = UInt64(UInt(bitPattern: memory.base))
        guard call(machine, swiftlet_kvm_set_user_memory_region, &region) == 0 else {
            throw .system("cannot give the virtual machine its memory")
        }
    }

    /// Shows the guest the processor's features, as far as KVM can virtualise them.
    ///
    /// - Returns: what of them matters here.
    func passFeatures() throws(MonitorError) -> ProcessorFeatures {
        let entrySize = MemoryLayout<kvm_cpuid_entry2>.stride
        let headerSize = MemoryLayout<kvm_cpuid2>.size
        let list = UnsafeMutableRawBufferPointer.allocate(
            byteCount: headerSize + Self.cpuidEntries * entrySize, alignment: 8)
        defer { list.deallocate() }
        list.initializeMemory(as: UInt8.self, repeating: 0)
        list.storeBytes(of: UInt32(Self.cpuidEntries), as: UInt32.self)
        let address = UInt(bitPattern: list.baseAddress)
        guard swiftlet_ioctl(system, swiftlet_kvm_get_supported_cpuid, address) == 0,
            swiftlet_ioctl(processor, swiftlet_kvm_set_cpuid2, address) == 0
        else { throw .system("cannot set the virtual processor's features") }
        var features = ProcessorFeatures()
        for index in 0..<min(Int(list.load(as: UInt32.self)), Self.cpuidEntries) {
            features.add(
                list.load(
                    fromByteOffset: headerSize + index * entrySize, as: kvm_cpuid_entry2.self))
        }
        return features
    }

    /// Ticks of the guest's TSC in a second.
    func timestampFrequency() throws(MonitorError) -> UInt64 {
        let kilohertz = swiftlet_ioctl(processor, swiftlet_kvm_get_tsc_khz, 0)
        guard kilohertz > 0 else { throw .system("KVM does not tell the TSC's frequency") }
        return UInt64(kilohertz) * 1000
    }

    /// Calls `body` with the processor's special registers, and sets what it left.
    func changeSpecialRegisters(_ body: (inout kvm_sregs) -> Void) throws(MonitorError) {
        var registers = kvm_sregs()
        guard call(processor, swiftlet_kvm_get_sregs, &registers) == 0 else {
            throw .system("cannot read the virtual processor's registers")
        }
        body(&registers)
        guard call(processor, swiftlet_kvm_set_sregs, &registers) == 0 else {
            throw .system("cannot set the virtual processor's special registers")
        }
    }

    func setRegisters(_ registers: kvm_regs) throws(MonitorError) {
        var registers = registers
        guard call(processor, swiftlet_kvm_set_regs, &registers) == 0 else {
            throw .system("cannot set the virtual processor's registers")
        }
    }

    /// Enables the processor's extended states (XCR0).
    func setExtendedStates(_ states: UInt64) throws(MonitorError) {
        var registers = kvm_xcrs()
        registers.nr_xcrs = 1
        registers.xcrs.0.value = states
        guard call(processor, swiftlet_kvm_set_xcrs, &registers) == 0 else {
            throw .system("cannot set the virtual processor's extended states")
        }
    }

    /// The faulting address, CR2.
    func faultAddress() -> UInt64 {
        var registers = kvm_sregs()
        return call(processor, swiftlet_kvm_get_sregs, &registers) == 0 ? registers.cr2 : 0
    }

    /// Whether the processor is about to take an exception, or an interrupt.
    func hasPendingException() -> Bool {
        var events = kvm_vcpu_events()
        guard call(processor, swiftlet_kvm_get_vcpu_events, &events) == 0 else { return true }
        return events.exception.injected != 0 || events.exception.pending != 0
            || events.interrupt.injected != 0 || events.nmi.injected != 0
    }

    /// Registers at the exit that has just come.
    var registers: kvm_regs { swiftlet_run_registers(run) }

    /// Runs the guest until it leaves; false if a signal came first.
    func enter() throws(MonitorError) -> Bool {
        if swiftlet_ioctl(processor, swiftlet_kvm_run, 0) == 0 { return true }
        guard errno == EINTR else { throw .system("KVM could not run the guest") }
        return false
    }

    private func call<T>(_ file: Int32, _ request: UInt, _ argument: inout T) -> Int32 {
        withUnsafeMutablePointer(to: &argument) {
            swiftlet_ioctl(file, request, UInt(bitPattern: $0))
        }
    }
}

/// What CPUID offers the guest (SDM volume 2, CPUID).
struct ProcessorFeatures: Equatable {
    var hasExtendedStates = false
    var hasBaseInstructions = false
    var hasModePrevention = false
    /// States that XCR0 may enable.
    var extendedStates: UInt64 = 0

    fileprivate mutating func add(_ entry: kvm_cpuid_entry2) {
        switch (entry.function, entry.index) {
        case (1, _): hasExtendedStates = entry.ecx & 1 << 26 != 0
        case (7, 0):
            hasBaseInstructions = entry.ebx & 1 << 0 != 0
            hasModePrevention = entry.ecx & 1 << 2 != 0
        case (0xD, 0): extendedStates = UInt64(entry.edx) << 32 | UInt64(entry.eax)
        default: break
        }
    }
}
