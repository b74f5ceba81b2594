// The monitor's disk: requests well made and badly, and the file that is behind it.

import Glibc
import Testing

@testable import SwiftletMonitor

@Suite("Block device")
struct BlockDeviceTests {
    private static let header: UInt64 = 0x3_0000
    private static let status: UInt64 = 0x3_0100
    private static let data: UInt64 = 0x3_1000
    private static let done: UInt8 = 0
    private static let failed: UInt8 = 1
    private static let unsupported: UInt8 = 2
    private static let goesOn: UInt16 = 1
    private static let writes: UInt16 = 2

    private let queue = Queue(0x2_0000, size: 8)

    /// A device that runs; it has agreed on flushing unless `features` are others.
    private func start(
        diskIsReadOnly: Bool = false, features: UInt64 = 1 << 32 | 1 << 9
    ) throws -> DriverModel {
        let model = try DriverModel(diskIsReadOnly: diskIsReadOnly)
        model.start(DriverModel.block, queues: 1, features: features)
        return model
    }

    /// Has one request answered; its status, 0xFF if there was none.
    private func request(
        _ model: DriverModel, _ type: UInt32, sector: UInt64 = 0, octets: UInt32 = 0,
        deviceWrites: Bool = false, at address: UInt64 = data
    ) -> UInt8 {
        model.write(type, Self.header)
        model.write(UInt32(0), Self.header + 4)
        model.write(sector, Self.header + 8)
        model.write(UInt8(0xFF), Self.status)
        queue.describe(0, Self.header, 16, flags: Self.goesOn, next: 1, in: model)
        queue.describe(
            1, address, octets, flags: Self.goesOn | (deviceWrites ? Self.writes : 0), next: 2,
            in: model)
        queue.describe(2, Self.status, 1, flags: Self.writes, in: model)
        queue.offer(0, in: model)
        #expect(model.process())
        return model.read(Self.status, as: UInt8.self)
    }

    @Test("Sectors are read, written and flushed")
    func transfer() throws {
        let model = try start()
        #expect(request(model, 0, sector: 3, octets: 1024, deviceWrites: true) == Self.done)
        #expect(queue.usedLength(0, in: model) == 1025)
        #expect(
            model.octets(Self.data, 1024)
                == .init(repeating: 3, count: 512) + .init(repeating: 4, count: 512))
        for octet in 0..<512 as Range<UInt64> { model.write(UInt8(0xAB), Self.data + octet) }
        #expect(request(model, 1, sector: 7, octets: 512) == Self.done)
        #expect(queue.usedLength(1, in: model) == 1)
        let octets = model.diskOctets
        #expect(octets.count == DriverModel.sectorCount * 512)
        #expect(octets[(7 * 512)...].allSatisfy { $0 == 0xAB } && octets[7 * 512 - 1] == 6)
        #expect(request(model, 4) == Self.done)
        #expect(model.isIntact)
    }

    @Test("A driver that has not agreed on flushing writes all the same")
    func writeThrough() throws {
        let model = try start(features: 1 << 32)
        model.write(UInt8(0xCD), Self.data)
        #expect(request(model, 1, sector: 1, octets: 512) == Self.done)
        #expect(model.diskOctets[512] == 0xCD)
    }

    @Test("Header, data and status may be cut anywhere")
    func segments() throws {
        let model = try start()
        // Header 5 + 11; data and status 500 + 0 + 13.
        model.write(UInt64(0), Self.header)
        model.write(UInt64(5), Self.header + 8)
        model.write(UInt8(0xFF), Self.data + 512)
        queue.describe(0, Self.header, 5, flags: 1, next: 1, in: model)
        queue.describe(1, Self.header + 5, 11, flags: 1, next: 2, in: model)
        queue.describe(2, Self.data, 500, flags: 3, next: 3, in: model)
        queue.describe(3, Self.data, 0, flags: 3, next: 4, in: model)
        queue.describe(4, Self.data + 500, 13, flags: 2, in: model)
        queue.offer(0, in: model)
        #expect(model.process())
        #expect(model.octets(Self.data, 513) == .init(repeating: 5, count: 512) + [0])
        #expect(queue.usedLength(0, in: model) == 513)
    }

    @Test("What is not on the disk is neither read nor written")
    func bounds() throws {
        let model = try start()
        let before = model.diskOctets
        for (sector, octets) in [
            (8, 512), (7, 1024), (.max, 512), (1 << 55, 512), (0, 511), (0, 1), (0, 8192),
        ] as [(UInt64, UInt32)] {
            let name: Comment = "\(octets) at \(sector)"
            #expect(
                request(model, 0, sector: sector, octets: octets, deviceWrites: true)
                    == Self.failed, name)
            #expect(request(model, 1, sector: sector, octets: octets) == Self.failed, name)
        }
        #expect(model.diskOctets == before)
        #expect(!model.needsReset(DriverModel.block))
        #expect(request(model, 0, sector: 7, octets: 512, deviceWrites: true) == Self.done)
        #expect(model.isIntact)
    }

    @Test("A disk that is to be read only says so, and is")
    func readOnly() throws {
        let model = try start(diskIsReadOnly: true)
        model.store(0, DriverModel.block, 0x14)
        #expect(model.load(DriverModel.block, 0x10) & 1 << 5 != 0)
        let before = model.diskOctets
        #expect(request(model, 1, sector: 1, octets: 512) == Self.failed)
        #expect(model.diskOctets == before)
        #expect(request(model, 0, sector: 1, octets: 512, deviceWrites: true) == Self.done)
        #expect(request(model, 4) == Self.done)
    }

    @Test("Size, name, and what is not understood")
    func others() throws {
        let model = try start()
        #expect(model.load(DriverModel.block, 0x100) == 8)
        #expect(model.load(DriverModel.block, 0x104) == 0)
        #expect(request(model, 8, octets: 20, deviceWrites: true) == Self.done)
        #expect(
            model.octets(Self.data, 20) == Array("swiftlet-disk".utf8)
                + .init(repeating: 0, count: 7))
        #expect(request(model, 8, octets: 19, deviceWrites: true) == Self.failed)
        for type in [2, 3, 5, 11, 13, .max] as [UInt32] {
            #expect(request(model, type) == Self.unsupported)
        }
    }

    @Test("What is no request stops the device")
    func violations() throws {
        for (length, statusLength) in [(15, 1), (0, 1), (16, 0)] as [(UInt32, UInt32)] {
            let model = try start()
            queue.describe(0, Self.header, length, flags: Self.goesOn, next: 1, in: model)
            queue.describe(1, Self.status, statusLength, flags: Self.writes, in: model)
            queue.offer(0, in: model)
            _ = model.process()
            #expect(model.needsReset(DriverModel.block))
            #expect(queue.usedIndex(in: model) == 0)
        }
    }

    @Test("One turn does a bounded amount, and says that there is more")
    func budget() throws {
        let model = try start()
        // Sixty segments of 64 KiB onto the same memory, of a disk that is not so long.
        model.write(UInt64(0), Self.header)
        model.write(UInt64(0), Self.header + 8)
        let long = Queue(0x2_4000, size: 64)
        model.start(
            DriverModel.block, queues: 1, size: 64, base: 0x2_4000, features: 1 << 32)
        long.describe(0, Self.header, 16, flags: 1, next: 1, in: model)
        for index in 1..<62 as Range<UInt16> {
            long.describe(
                UInt64(index), 0x3_0000, 0x1_0000, flags: 3, next: index + 1, in: model)
        }
        long.describe(62, 0x3_0000, 0x1_0000, flags: 2, in: model)
        long.offer(0, in: model)
        long.offer(0, in: model)
        #expect(model.process())
        #expect(long.usedIndex(in: model) == 1)
        #expect(model.process())
        #expect(long.usedIndex(in: model) == 2)
        #expect(!model.process())
    }
}

@Suite("Disk file")
struct DiskFileTests {
    /// The message that opening a file of so many octets ends with; nil if it is taken.
    private func refusal(size: Int, _ suffix: String = "") throws -> String? {
        var name = Array("/tmp/swiftlet-disk-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        let path = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer {
            close(file)
            unlink(path)
        }
        #expect(ftruncate(file, size) == 0)
        return refusal(path + suffix)
    }

    private func refusal(_ text: String) -> String? {
        guard let settings = DiskSettings(text) else { return "no disk" }
        do throws(MonitorError) {
            close(try DiskFile(settings).file)
            return nil
        } catch {
            return error.message
        }
    }

    @Test("A file of whole sectors is a disk, others are not")
    func sizes() throws {
        #expect(try refusal(size: 512) == nil)
        #expect(try refusal(size: 1 << 20, ":ro") == nil)
        for size in [0, 1, 511, 513, 1 << 20 + 1] {
            let words = try refusal(size: size)
            #expect(words?.contains("has \(size) octets") ?? false, "\(size)")
        }
        #expect(refusal("/no/such/disk")?.contains("No such file") ?? false)
        #expect(refusal("/tmp")?.contains("'/tmp'") ?? false)
        #expect(refusal("/dev/null")?.contains("no file and no block device") ?? false)
        #expect(refusal(":ro") == "no disk")
    }

    @Test("A disk is one machine's, or of any number that only read")
    func locks() throws {
        var name = Array("/tmp/swiftlet-disk-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        let path = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer {
            close(file)
            unlink(path)
        }
        #expect(ftruncate(file, 512) == 0)
        let readOnly = try #require(DiskSettings(path + ":ro"))
        let one = try DiskFile(readOnly)
        let other = try DiskFile(readOnly)
        #expect(refusal(path)?.contains("is in use by another machine") ?? false)
        close(one.file)
        close(other.file)
        let owner = try DiskFile(try #require(DiskSettings(path)))
        #expect(refusal(path)?.contains("is in use") ?? false)
        #expect(refusal(path + ":ro")?.contains("is in use") ?? false)
        close(owner.file)
        #expect(refusal(path) == nil)
    }
}
