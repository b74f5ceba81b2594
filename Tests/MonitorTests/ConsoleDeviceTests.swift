// The monitor's console: input that comes when there is room for it, output whole and in order.

import Glibc
import Testing

@testable import SwiftletMonitor

@Suite("Console device")
struct ConsoleDeviceTests {
    private static let data: UInt64 = 0x3_0000
    private static let goesOn: UInt16 = 1
    private static let writes: UInt16 = 2

    private let receiveQueue = Queue(0x2_0000, size: 8)
    private let transmitQueue = Queue(0x2_1000, size: 8)

    private func start() throws -> DriverModel {
        let model = try DriverModel()
        model.start(DriverModel.console, queues: 2)
        return model
    }

    /// Has the host write octets; how many it could.
    private func type(_ octets: [UInt8], _ model: DriverModel) -> Int {
        send(model.input, octets, octets.count, Int32(MSG_NOSIGNAL))
    }

    private func isPolled(_ model: DriverModel) -> Bool {
        (model.devices.console?.polled(model.memory) ?? -1) >= 0
    }

    @Test("It is a console with two queues and no feature of its own")
    func registers() throws {
        let model = try DriverModel()
        #expect(model.load(DriverModel.console, 8) == 3)
        #expect(model.load(DriverModel.console, 0x10) == 1 << 29)
        for (queue, size) in [(0, 64), (1, 64), (2, 0)] as [(UInt64, UInt64)] {
            model.store(queue, DriverModel.console, 0x30)
            #expect(model.load(DriverModel.console, 0x34) == size)
        }
        #expect(model.load(DriverModel.console, 0x100) == 0)
        #expect(model.devices.commandLineWords.hasSuffix(":4"))
        #expect(model.devices.registerPages.count == 4)
    }

    @Test("Input fills the buffers that are offered, in order, and waits where none is")
    func receive() throws {
        let model = try start()
        #expect(type(Array(1...100), model) == 100)
        #expect(!model.process())
        #expect(!isPolled(model))
        receiveQueue.describe(0, Self.data, 60, flags: Self.writes, in: model)
        receiveQueue.describe(1, Self.data + 60, 60, flags: Self.writes, in: model)
        receiveQueue.offer(0, in: model)
        #expect(isPolled(model))
        #expect(model.process())
        #expect(receiveQueue.usedIndex(in: model) == 1)
        #expect(receiveQueue.usedLength(0, in: model) == 60)
        receiveQueue.offer(1, in: model)
        #expect(model.process())
        #expect(receiveQueue.usedLength(1, in: model) == 40)
        #expect(model.octets(Self.data, 100) == Array(1...100))
        #expect(model.isIntact)
    }

    @Test("A guest that does not read stops the host's writer, and loses nothing")
    func backpressure() throws {
        let model = try start()
        var written = 0
        while case let count = type([UInt8](repeating: 7, count: 4096), model), count > 0 {
            written += count
        }
        for _ in 0..<100 { #expect(!model.process()) }
        #expect(type([7], model) < 0)
        receiveQueue.describe(0, Self.data, 4096, flags: Self.writes, in: model)
        var read = 0
        while read < written {
            receiveQueue.offer(0, in: model)
            #expect(model.process())
            let index = UInt64(receiveQueue.usedIndex(in: model) &- 1)
            read += Int(receiveQueue.usedLength(index % 8, in: model))
        }
        #expect(read == written)
    }

    @Test("The end of the host's input is no input, and is polled for no longer")
    func end() throws {
        let model = try start()
        #expect(type([1, 2], model) == 2)
        shutdown(model.input, Int32(SHUT_WR))
        for index in 0..<2 as Range<UInt16> {
            receiveQueue.describe(UInt64(index), Self.data, 16, flags: Self.writes, in: model)
            receiveQueue.offer(index, in: model)
        }
        #expect(model.process())
        #expect(receiveQueue.usedIndex(in: model) == 1)
        #expect(!model.process())
        #expect(!isPolled(model))
        #expect(model.devices.console?.hasEnded == true)
        #expect(!model.needsReset(DriverModel.console))
    }

    @Test("Output comes out whole and in order, from one segment or several")
    func transmit() throws {
        let model = try start()
        for octet in 0..<100 as Range<UInt8> { model.write(octet, Self.data + UInt64(octet)) }
        transmitQueue.describe(0, Self.data, 10, flags: Self.goesOn, next: 1, in: model)
        transmitQueue.describe(1, Self.data + 10, 0, flags: Self.goesOn, next: 2, in: model)
        transmitQueue.describe(2, Self.data + 10, 40, in: model)
        transmitQueue.describe(3, Self.data, 0, in: model)
        transmitQueue.describe(4, Self.data + 50, 50, in: model)
        for head in [0, 3, 4] as [UInt16] { transmitQueue.offer(head, in: model) }
        #expect(model.process())
        #expect(transmitQueue.usedIndex(in: model) == 3)
        #expect(model.takeOutput() == Array(0..<100))
    }

    @Test("A buffer longer than a turn's work is written over several turns, once")
    func longOutput() throws {
        let model = try start()
        // Eight times the same 60 KiB: 491 520 octets, in turns of 262 144.
        let length = 60 << 10
        for octet in 0..<length {
            model.write(UInt8(truncatingIfNeeded: octet &* 31 >> 3), Self.data + UInt64(octet))
        }
        let part = model.octets(Self.data, length)
        for index in 0..<8 as Range<UInt64> {
            transmitQueue.describe(
                index, Self.data, UInt32(length), flags: index < 7 ? Self.goesOn : 0,
                next: UInt16(index + 1), in: model)
        }
        transmitQueue.offer(0, in: model)
        #expect(model.process())
        #expect(transmitQueue.usedIndex(in: model) == 0)
        #expect(model.devices.console?.written == ConsoleDevice.budget)
        #expect(model.process())
        #expect(transmitQueue.usedIndex(in: model) == 1)
        #expect(!model.process())
        #expect(model.takeOutput() == Array(repeatElement(part, count: 8).joined()))
    }

    @Test("A reset in the middle of a long buffer begins anew")
    func reset() throws {
        let model = try start()
        for index in 0..<8 as Range<UInt64> {
            transmitQueue.describe(
                index, Self.data, 60 << 10, flags: index < 7 ? Self.goesOn : 0,
                next: UInt16(index + 1), in: model)
        }
        transmitQueue.offer(0, in: model)
        #expect(model.process())
        for offset in 0..<0x100 as Range<UInt64> { model.write(UInt8(0), 0x2_1080 + offset) }
        model.start(DriverModel.console, queues: 2)
        #expect(model.devices.console?.written == 0)
        #expect(!model.process())
    }

    @Test("What goes into the wrong queue, or lies nowhere, stops the device and nothing else")
    func violations() throws {
        let end = DriverModel.ram.upperBound
        for (queue, address, length, flags) in [
            (receiveQueue, Self.data, 16, 0), (receiveQueue, Self.data, 0, 2),
            (receiveQueue, end - 8, 16, 2), (receiveQueue, 0x1_0000, 16, 2),
            (transmitQueue, Self.data, 16, 2), (transmitQueue, 0x1_0000, 16, 0),
            (transmitQueue, end, 1, 0), (transmitQueue, .max - 3, 16, 0),
            (transmitQueue, Self.data, 16, 4), (transmitQueue, Self.data, 16, 1),
        ] as [(Queue, UInt64, UInt32, UInt16)] {
            let model = try start()
            #expect(type([1, 2, 3], model) == 3)
            queue.describe(0, address, length, flags: flags, in: model)
            queue.offer(0, in: model)
            _ = model.process()
            #expect(model.needsReset(DriverModel.console), "\(address), \(length), \(flags)")
            #expect(model.takeOutput().isEmpty)
            #expect(!isPolled(model))
            #expect(model.isIntact)
            // The others, and this one after a reset, go on.
            model.start(DriverModel.entropy, queues: 1, base: 0x2_4000)
            let entropy = Queue(0x2_4000, size: 8)
            entropy.describe(0, Self.data, 16, flags: 2, in: model)
            entropy.offer(0, in: model)
            #expect(model.process())
            model.store(0, DriverModel.console, 0x70)
            #expect(!model.needsReset(DriverModel.console))
        }
    }

    @Test("Waiting ends with input, where there is room for it")
    func wait() throws {
        let model = try start()
        receiveQueue.describe(0, Self.data, 16, flags: Self.writes, in: model)
        receiveQueue.offer(0, in: model)
        #expect(type([9], model) == 1)
        // Without end: it would not return if input did not end it.
        let isAsked = model.devices.wait(.max, model.memory)
        #expect(!isAsked)
        #expect(receiveQueue.usedIndex(in: model) == 1)
        #expect(model.octets(Self.data, 1) == [9])
    }

    @Test("The option takes a descriptor that is open, and none of the standard ones")
    func option() {
        for text in ["0", "2", "-1", "x", "", "99999"] {
            #expect(throws: MonitorError.self) {
                try MachineSettings(arguments: ["--input", text, "image"])
            }
        }
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        let settings = try? MachineSettings(arguments: ["--input", "\(file)", "image"])
        #expect(settings?.input == file)
    }
}
