// A driver as a test writes it, honest or not: memory with witnesses around it, and the devices.

import Glibc
import SwiftletBootProtocol

@testable import SwiftletMonitor

/// Guest memory, the monitor's devices on it, and the other end of the network link.
final class DriverModel {
    /// Octets on each side of RAM that must never change.
    static let border = 64 << 10
    static let ram: Range<UInt64> = 0x1_0000..<0x5_0000
    /// What devices may touch; below it lies the image.
    static let shared: Range<UInt64> = 0x2_0000..<0x5_0000
    private static let witness: UInt8 = 0xA5

    private let block: UnsafeMutableRawPointer
    private let blockSize: Int
    /// Witnesses as they are to be: as many as there are on one side.
    private let untouched: UnsafeMutableRawPointer
    let memory: GuestMemory
    var devices: Devices
    /// The host's end of the link.
    let host: Int32
    private let link: Int32
    /// The file behind the disk: eight sectors, each full of its number.
    let disk: Int32
    /// The host's end of standard input, and what comes out of the console.
    let input: Int32
    private let output: Int32
    private let consoleInput: Int32
    private var outputTaken: off_t = 0

    static let entropy = MachineLayout.deviceAddress(0)
    static let network = MachineLayout.deviceAddress(1)
    static let block = MachineLayout.deviceAddress(2)
    static let console = MachineLayout.deviceAddress(3)
    static let sectorCount = 8

    init(diskIsReadOnly: Bool = false) throws {
        let size = Int(Self.ram.upperBound - Self.ram.lowerBound)
        blockSize = size + 2 * Self.border
        block = .allocate(byteCount: blockSize, alignment: 4096)
        block.initializeMemory(as: UInt8.self, repeating: Self.witness, count: blockSize)
        untouched = .allocate(byteCount: blockSize, alignment: 16)
        untouched.initializeMemory(as: UInt8.self, repeating: Self.witness, count: blockSize)
        var memory = GuestMemory(Self.ram, at: block + Self.border)
        memory.deviceRange = Self.shared
        self.memory = memory
        memset(memory.base + Int(Self.shared.lowerBound - Self.ram.lowerBound), 0, 0x3_0000)
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw MonitorError.system("socketpair")
        }
        (link, host) = (ends[0], ends[1])
        var inputs: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, type, 0, &inputs) == 0 else {
            throw MonitorError.system("socketpair")
        }
        (consoleInput, input) = (inputs[0], inputs[1])
        output = try Self.makeFile([])
        disk = try Self.makeDisk()
        devices = Devices(
            network: NetworkDevice(
                address: [2, 0, 0, 0, 0, 1], link: .stream(StreamLink(ends[0]))),
            block: BlockDevice(
                DiskFile(
                    file: disk, sectorCount: UInt64(Self.sectorCount),
                    isReadOnly: diskIsReadOnly)),
            console: ConsoleDevice(input: consoleInput, output: output))
    }

    private static func makeDisk() throws -> Int32 {
        try makeFile((0..<sectorCount * 512).map { UInt8($0 / 512) })
    }

    /// A file without a name.
    private static func makeFile(_ octets: [UInt8]) throws -> Int32 {
        var name = Array("/tmp/swiftlet-disk-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        guard file >= 0 else { throw MonitorError.system("mkstemp") }
        unlink(name)
        guard Glibc.write(file, octets, octets.count) == octets.count else {
            throw MonitorError.system("write")
        }
        return file
    }

    /// What the disk's file holds.
    var diskOctets: [UInt8] {
        var octets: [UInt8] = .init(repeating: 0, count: 2 * Self.sectorCount * 512)
        let count = pread(disk, &octets, octets.count, 0)
        return Array(octets[..<max(count, 0)])
    }

    /// What has come out of the console since the last call.
    func takeOutput() -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: 1 << 20)
        let count = max(pread(output, &octets, octets.count, outputTaken), 0)
        outputTaken += off_t(count)
        return Array(octets[..<count])
    }

    /// The pages that the guest reads registers from.
    private(set) var shown: GuestMemory?

    /// Has registers shown in memory too, and from now on compared with what loads give.
    func showRegisters() throws {
        try devices.showRegisters { shown = $0 }
    }

    deinit {
        devices.release()
        close(link)
        close(host)
        close(disk)
        for file in [consoleInput, input, output] { close(file) }
        block.deallocate()
        untouched.deallocate()
    }

    /// Whether nothing was written outside of what the driver shares.
    var isIntact: Bool {
        let before = Self.border + Int(Self.shared.lowerBound - Self.ram.lowerBound)
        let after = blockSize - Self.border
        return memcmp(block, untouched, before) == 0
            && memcmp(block + after, untouched, Self.border) == 0
    }

    /// Gives the devices their turn; whether a driver wants to hear of it.
    func process() -> Bool { devices.process(memory) }

    // MARK: Registers

    func store(_ value: UInt64, _ device: UInt64, _ offset: UInt64) {
        devices.store(value, at: device + offset, size: 4, memory)
    }

    func load(_ device: UInt64, _ offset: UInt64) -> UInt64 {
        devices.load(device + offset, size: 4)
    }

    /// Whether memory shows all registers of `device` as loads give them.
    func showsRegisters(_ device: UInt64) -> Bool {
        guard let page = shown?.pointer(device, 4096) else { return false }
        return stride(from: 0, to: 0x200 as UInt64, by: 4).allSatisfy {
            UInt64(page.load(fromByteOffset: Int($0), as: UInt32.self)) == load(device, $0)
        }
    }

    func needsReset(_ device: UInt64) -> Bool { load(device, 0x70) & 64 != 0 }

    /// The handshake of virtio 1.2 §3.1.1, with queues of `size` descriptors one after the other
    /// from `base`.
    func start(
        _ device: UInt64, queues: Int, size: UInt64 = 8, base: UInt64 = 0x2_0000,
        features: UInt64 = 1 << 32
    ) {
        store(0, device, 0x70)
        store(1, device, 0x70)
        store(3, device, 0x70)
        for half in 0..<2 as Range<UInt64> {
            store(half, device, 0x24)
            store(features >> (32 * half) & 0xFFFF_FFFF, device, 0x20)
        }
        store(11, device, 0x70)
        for queue in 0..<queues {
            let place = Queue(base + UInt64(queue) * 0x1000, size: size)
            store(UInt64(queue), device, 0x30)
            store(size, device, 0x38)
            for (offset, address) in [
                (0x80, place.descriptors), (0x90, place.available), (0xA0, place.used),
            ] as [(UInt64, UInt64)] {
                store(address & 0xFFFF_FFFF, device, offset)
                store(address >> 32, device, offset + 4)
            }
            store(1, device, 0x44)
        }
        store(15, device, 0x70)
    }

    // MARK: Memory

    func write<T>(_ value: T, _ address: UInt64) {
        (memory.base + Int(address - Self.ram.lowerBound))
            .storeBytes(of: value, as: T.self)
    }

    func read<T>(_ address: UInt64, as type: T.Type) -> T {
        (memory.base + Int(address - Self.ram.lowerBound)).loadUnaligned(as: type)
    }

    func octets(_ address: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { read(address + UInt64($0), as: UInt8.self) }
    }
}

/// Where a queue lies, and what a driver does with it.
struct Queue {
    let size: UInt64
    let descriptors: UInt64
    let available: UInt64
    let used: UInt64

    init(_ base: UInt64, size: UInt64) {
        self.size = size
        descriptors = base
        available = base + 16 * size
        used = (base + 16 * size + 6 + 2 * size + 3) & ~3
    }

    func describe(
        _ index: UInt64, _ address: UInt64, _ length: UInt32, flags: UInt16 = 0, next: UInt16 = 0,
        in model: DriverModel
    ) {
        let entry = descriptors + 16 * index
        model.write(address, entry)
        model.write(length, entry + 8)
        model.write(flags, entry + 12)
        model.write(next, entry + 14)
    }

    func offer(_ head: UInt16, in model: DriverModel) {
        let index = model.read(available + 2, as: UInt16.self)
        model.write(head, available + 4 + 2 * (UInt64(index) % size))
        model.write(index &+ 1, available + 2)
    }

    func usedIndex(in model: DriverModel) -> UInt16 { model.read(used + 2, as: UInt16.self) }

    func usedLength(_ index: UInt64, in model: DriverModel) -> UInt32 {
        model.read(used + 4 + 8 * index + 4, as: UInt32.self)
    }
}
