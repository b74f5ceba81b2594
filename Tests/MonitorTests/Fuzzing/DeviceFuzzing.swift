// A guest and a network that do what a fuzzer wants with the monitor's devices: registers, queues,
// rings, descriptors, frames.

import Glibc
import SwiftletTestSupport

@testable import SwiftletMonitor

/// All devices of a machine against a driver that breaks rules. A byte beside what the driver shares
/// ends in a fault; where the kernel would only say EFAULT, each address is looked at before.
enum DeviceFuzzing: FuzzTarget {
    static let name = "monitor-devices"
    /// Each action is an octet, and the octets that it takes.
    static let seeds: [[UInt8]] = scripts + edges

    private static let scripts: [[UInt8]] = [
        // Network card, eight descriptors; a receive buffer; a frame; a turn.
        [1, 1, 3, 0] + [2, 0, 0, 2, 4, 2, 0] + [3, 0, 0] + [6, 60, 0] + [7],
        // A frame to send in two segments.
        [1, 1, 3, 0] + [2, 1, 0, 1, 3, 1, 1, 2, 1, 1, 2, 3, 0, 0] + [3, 1, 0] + [7, 8],
        // Entropy with event indices, looped, and one segment that lies nowhere.
        [1, 0, 3, 1] + [2, 0, 0, 1, 3, 3, 0] + [3, 0, 0] + [7],
        [1, 0, 3, 0] + [2, 0, 0, 9, 6, 2, 0] + [3, 0, 0] + [7, 9, 0],
        // Disk: a sector read in three segments, then one written and flushed, and the disk's name;
        // a sector behind the end, a type that there is not.
        [1, 2, 3, 0] + header(0, sector: 0) + parts(data: [14, 3]) + [3, 0, 0, 7],
        [1, 2, 3, 0] + header(1, sector: 7) + parts(data: [14, 1]) + [3, 0, 0, 7]
            + header(4, sector: 0) + [3, 0, 0, 7],
        [1, 2, 3, 1] + header(8, sector: 0) + parts(data: [15, 2]) + [3, 0, 0, 7],
        [1, 2, 3, 0] + header(0, sector: 0xFF) + parts(data: [12, 3]) + [3, 0, 0, 7],
        [1, 2, 3, 0] + header(9, sector: 0) + parts(data: [14, 3]) + [3, 0, 0, 7, 8],
        // Console: a receive buffer, input, a turn, its end; output in two segments.
        [1, 0xF0, 3, 0] + [2, 0, 0, 2, 4, 2, 0] + [3, 0, 0] + [11, 0, 0, 0, 0, 0xFE, 60, 7]
            + [11, 0, 0, 0, 0, 0xFD] + [3, 0, 0, 7, 9, 0],
        [1, 0xF0, 3, 0] + [2, 1, 0, 1, 3, 1, 1, 2, 1, 1, 2, 5, 0, 0] + [3, 1, 0] + [7, 8],
        // Registers alone.
        [0, 0, 0, 0x70, 4, 1, 0, 0, 0, 0x70, 4, 3, 5, 1, 0x38, 2, 0xFF, 4, 9, 1],
        // Half a frame, the rest later, a length that is none.
        [1, 1, 3, 0] + [2, 0, 0, 2, 4, 2, 0] + [3, 0, 0] + [6, 40, 1, 7, 6, 40, 2, 7, 6, 0, 3, 7],
    ]

    /// Actions that write the header of a request to the disk.
    private static func header(_ type: UInt8, sector: UInt8) -> [UInt8] {
        [5, type, 0x3F, 0, 5, sector, 0x3F, 8]
    }

    /// Actions that describe that header, data of a length and with flags as `describe` has them, and
    /// the status.
    private static func parts(data: [UInt8]) -> [UInt8] {
        [2, 0, 0, 13, 13, 1, 1] + [2, 0, 1, 1] + data + [2] + [2, 0, 2, 2, 1, 2, 0]
    }

    /// One buffer at each address of `describe` with each of its lengths, for both devices, to be
    /// read and to be written; a chain of one descriptor and one that goes round.
    private static let edges: [[UInt8]] = {
        var edges: [[UInt8]] = []
        for device in [0, 1] as [UInt8] {
            for flags in [0, 1, 2, 3] as [UInt8] {
                for place in 0..<13 as Range<UInt8> {
                    for length in 0..<12 as Range<UInt8> {
                        // The card receives with its first queue and sends with its second.
                        let queue = device == 1 && flags & 2 == 0 ? 1 : 0 as UInt8
                        edges.append(
                            [1, device, 3, 0] + [2, queue, 0, place, length, flags, 0]
                                + [3, queue, 0] + [6, 40, 0] + [7])
                    }
                }
            }
        }
        return edges
    }()

    private static let guarded = GuardedMemory(imageIsReadable: false)
    private static let devices = (0..<4).map(MachineLayout.deviceAddress)

    /// The device that an octet chooses: the corpus is older than the console.
    private static func device(_ octet: UInt8) -> UInt64 {
        devices[octet >= 0xF0 ? 3 : Int(octet % 3)]
    }

    /// Where the console writes.
    private static let output = open("/dev/null", O_WRONLY | O_CLOEXEC)
    /// Eight sectors, without a name.
    private static let disk: Int32 = {
        var name = Array("/tmp/swiftlet-disk-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        unlink(name)
        ftruncate(file, 8 * 512)
        return file
    }()
    private static let rings: UInt64 = 0x2_0000
    private static let buffers: UInt64 = 0x2_4000
    nonisolated(unsafe) private static let scratch = UnsafeMutablePointer<iovec>.allocate(
        capacity: SwiftletMonitor.DeviceQueue.longestChain)

    static func run(_ octets: RawSpan) {
        var input = FuzzInput(octets)
        guarded.clear()
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        var inputs: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, type, 0, &ends) == 0,
            socketpair(AF_UNIX, type, 0, &inputs) == 0
        else { return }
        var devices = Devices(
            network: NetworkDevice(
                address: [2, 0, 0, 0, 0, 1], link: .stream(StreamLink(ends[0]))))
        devices.block = BlockDevice(
            DiskFile(file: disk, sectorCount: 8, isReadOnly: octets.byteCount % 2 == 1))
        devices.console = ConsoleDevice(input: inputs[0], output: output)
        devices.isQuiet = true
        while !input.isEmpty { act(&input, &devices, host: ends[1], standardInput: inputs[1]) }
        devices.release()
        for end in ends + inputs { close(end) }
    }

    private static func act(
        _ input: inout FuzzInput, _ devices: inout Devices, host: Int32, standardInput: Int32
    ) {
        let memory = guarded.memory
        switch input.next() % 12 {
        case 0:
            let device = self.device(input.next())
            let offset = input.word() & 0xFFF
            let size = Int(input.next() & 7) + 1
            devices.store(value(&input), at: device + offset, size: size, memory)
        case 1: start(&input, &devices)
        case 2: describe(&input)
        case 3: offer(&input)
        case 4: store(UInt64(input.next()), rings + input.word() % 0x4000, size: 1)
        case 5: store(value(&input), rings + input.word() % 0x4000, size: 8)
        case 6: send(&input, host)
        case 7, 8:
            check(devices)
            _ = devices.process(memory)
            check(devices)
        case 9: _ = devices.wait(UInt64(input.next()), memory)
        case 10:
            var octets = [UInt8](repeating: 0, count: 4096)
            for _ in 0..<(input.next() & 63) where read(host, &octets, octets.count) <= 0 { break }
        default:
            let address = self.device(input.next()) + input.word() & 0xFFF
            _ = devices.load(address, size: Int(input.next() & 7) + 1)
            switch input.next() {
            case 0xFF: shutdown(host, Int32(SHUT_RDWR))
            case 0xFE:
                let octets = [UInt8](repeating: 0xEE, count: Int(input.next()) * 32)
                _ = Glibc.send(standardInput, octets, octets.count, Int32(MSG_NOSIGNAL))
            case 0xFD: shutdown(standardInput, Int32(SHUT_WR))
            default: break
            }
        }
    }

    /// Numbers near what is right, and far from it.
    private static func value(_ input: inout FuzzInput) -> UInt64 {
        let choice = input.next()
        switch choice {
        case 0xFF: return .max
        case 0xFE: return 0xFFFF_FFFF
        case 0xFD: return input.long()
        case 0xFC: return GuardedMemory.ram.upperBound - UInt64(input.next())
        case 0xFB: return GuardedMemory.shared.lowerBound - UInt64(input.next())
        case 0xFA: return rings + input.word()
        case 0xF9: return 1 << UInt64(input.next() & 63)
        default: return UInt64(choice)
        }
    }

    /// The handshake (virtio 1.2 §3.1.1) up to its end.
    private static func start(_ input: inout FuzzInput, _ devices: inout Devices) {
        let memory = guarded.memory
        let device = self.device(input.next())
        let size: UInt64 = 1 << UInt64(input.next() % 9)
        let features: UInt64 = UInt64(input.next())
        func set(_ offset: UInt64, _ value: UInt64) {
            devices.store(value, at: device + offset, size: 4, memory)
        }
        set(0x70, 0)
        set(0x70, 3)
        set(0x24, 1)
        set(0x20, 1)
        set(0x24, 0)
        set(0x20, (features & 1) << 29 | features >> 1 & (device < self.devices[2] ? 0x23 : 0))
        set(0x70, 11)
        for queue in 0..<2 as Range<UInt64> {
            let base = rings + queue * 0x2000
            set(0x30, queue)
            set(0x38, size)
            set(0x80, base)
            set(0x90, base + 16 * size)
            set(0xA0, base + 0x1800)
            set(0x44, 1)
        }
        set(0x70, 15)
    }

    /// A descriptor of a queue that `start` placed.
    private static func describe(_ input: inout FuzzInput) {
        let entry = rings + UInt64(input.next() & 1) * 0x2000 + UInt64(input.next()) * 16
        let place = input.next()
        let lengths: [UInt64] = [
            0, 1, 12, 26, 64, 2048, 0x1_0000, 0xFFFF_FFFF, 0x8000_0000, 14, 5, 66_000, 513, 16, 512,
            21,
        ]
        let length = lengths[Int(input.next()) % lengths.count]
        let addresses: [UInt64] = [
            buffers, buffers + 64, buffers + 0x1000, rings, rings + 0x1800, rings + 0x1000,
            GuardedMemory.shared.upperBound - 8, GuardedMemory.shared.lowerBound - 8, 0, .max - 7,
            GuardedMemory.ram.lowerBound, GuardedMemory.shared.upperBound, 0x1_0000_0000,
            rings + 0x3F00,
        ]
        let address = addresses[Int(place) % addresses.count]
        store(address, entry, size: 8)
        store(length, entry + 8, size: 4)
        store(UInt64(input.next()), entry + 12, size: 2)
        store(UInt64(input.next()), entry + 14, size: 2)
    }

    /// Offers a head in the available ring: `size` is what `start` chose, so it is guessed again.
    private static func offer(_ input: inout FuzzInput) {
        let queue = UInt64(input.next())
        let size: UInt64 = 1 << (queue >> 4 == 0 ? 3 : queue >> 4 % 9)
        let available = rings + (queue & 1) * 0x2000 + 16 * size
        let index = guarded.memory.base
            .load(
                fromByteOffset: Int(available + 2 - GuardedMemory.ram.lowerBound), as: UInt16.self)
        store(UInt64(input.next()), available + 4 + 2 * (UInt64(index) % size), size: 2)
        store(UInt64(index &+ 1), available + 2, size: 2)
    }

    /// Octets of the network's: a whole frame, a part of one, noise, a length that is too large.
    private static func send(_ input: inout FuzzInput, _ host: Int32) {
        let length = Int(input.next()) * 8
        let kind = input.next()
        var octets = [UInt8](repeating: kind, count: length)
        let prefix: [UInt8] = [0, 0, UInt8(length >> 8), UInt8(length & 0xFF)]
        switch kind & 3 {
        case 0: octets = prefix + octets
        case 1: octets = prefix + octets.prefix(length / 2)
        case 2: octets = Array(octets.suffix(length - length / 2))
        default: octets = [kind >> 2 & 1, 1, 2, 3] + octets
        }
        _ = Glibc.send(host, octets, octets.count, Int32(MSG_NOSIGNAL))
    }

    private static func store(_ value: UInt64, _ address: UInt64, size: Int) {
        withUnsafeBytes(of: value.littleEndian) {
            (guarded.memory.base + Int(address - GuardedMemory.ram.lowerBound))
                .copyMemory(from: $0.baseAddress!, byteCount: size)
        }
    }

    /// Every segment that a queue would hand out lies in what the driver shares.
    private static func check(_ devices: Devices) {
        let memory = guarded.memory
        let low =
            UInt(bitPattern: memory.base)
            + UInt(GuardedMemory.shared.lowerBound - GuardedMemory.ram.lowerBound)
        let high =
            UInt(bitPattern: memory.base)
            + UInt(GuardedMemory.ram.upperBound - GuardedMemory.ram.lowerBound)
        let all =
            [devices.entropy.registers] + (devices.network.map { [$0.registers] } ?? [])
            + (devices.block.map { [$0.registers] } ?? [])
            + (devices.console.map { [$0.registers] } ?? [])
        for registers in all {
            precondition(!registers.isRunning || registers.status & 64 == 0)
            // A copy: the device takes the buffer again.
            for var queue in registers.queues {
                guard let chain = try? queue.take(memory, scratch) else { continue }
                let count = chain.readableCount + chain.writableCount
                precondition(count > 0 && count <= SwiftletMonitor.DeviceQueue.longestChain)
                for index in 0..<count {
                    let start = UInt(bitPattern: scratch[index].iov_base)
                    precondition(start >= low && start <= high)
                    precondition(UInt(scratch[index].iov_len) <= high - start)
                }
            }
        }
    }
}
