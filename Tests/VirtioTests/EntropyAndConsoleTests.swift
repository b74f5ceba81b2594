// The entropy device (virtio 1.2 §5.4) and the console (§5.3) against a simulated device.

import SwiftletMachine
import Testing

@testable import SwiftletVirtio

@Suite(.eachRing) struct EntropyTests {
    /// Answers each buffer as it is notified, with at most `most` octets.
    private func device(most: Int) -> FakeDevice {
        let device = FakeDevice(.entropy, features: .eventIndex, queues: 1)
        device.onNotify = { [unowned device] queue in
            var next: UInt8 = 1
            while let id = device.queues[queue].take() {
                let bytes = device.queues[queue].descriptor(id).bytes
                let count = min(most, bytes.count)
                for index in 0..<count {
                    bytes[index] = next
                    next &+= 1
                }
                device.queues[queue].put(UInt32(id), length: UInt32(count))
            }
            device.queues[queue].show()
            // The next buffer is notified again.
            device.queues[queue].setAvailableEvent(device.queues[queue].seenIndex)
        }
        return device
    }

    @Test(arguments: [1, 7, 256, 10_000])
    func fillsWhateverTheDeviceGivesAtOnce(_ most: Int) throws {
        let device = device(most: most)
        var entropy = try VirtioEntropy(transport: try FakeMMIO(device).transport())
        for size in [0, 1, 8, 256, 257, 1000] {
            var bytes = [UInt8](repeating: 0, count: size)
            var span = bytes.mutableSpan
            var target = span.mutableBytes
            try entropy.fill(&target) { false }
            // The device counts from 1 in each answer, and has room for 256 octets.
            let piece = min(most, 256)
            #expect(bytes == (0..<size).map { UInt8(truncatingIfNeeded: $0 % piece + 1) })
        }
    }

    @Test func aSilentDeviceIsGivenUpAndMayAnswerLater() throws {
        let device = FakeDevice(.entropy, queues: 1)
        var entropy = try VirtioEntropy(transport: try FakeMMIO(device).transport())
        var bytes = [UInt8](repeating: 0, count: 4)
        func fill(_ wait: () -> Bool) -> VirtioError? {
            var span = bytes.mutableSpan
            var target = span.mutableBytes
            do throws(VirtioError) {
                try entropy.fill(&target, wait: wait)
                return nil
            } catch {
                return error
            }
        }
        var waits = 0
        let first = fill {
            waits += 1
            return waits < 10
        }
        #expect(first?.kind == .misbehaved)
        #expect(waits == 10)
        #expect(device.queues[0].pending == 1)
        let second = fill {
            guard let id = device.queues[0].take() else { return false }
            device.queues[0].descriptor(id).bytes.copyBytes(from: [1, 2, 3, 4])
            device.queues[0].put(UInt32(id), length: 4)
            device.queues[0].show()
            return true
        }
        #expect(second == nil)
        #expect(bytes == [1, 2, 3, 4])
    }

    @Test func nothingAndTooMuchAreErrors() throws {
        for length in [0, 5, 257, UInt32.max] {
            let device = FakeDevice(.entropy, queues: 1)
            device.onNotify = { [unowned device] _ in
                guard let id = device.queues[0].take() else { return }
                device.queues[0].put(UInt32(id), length: length)
                device.queues[0].show()
            }
            var entropy = try VirtioEntropy(transport: try FakeMMIO(device).transport())
            var bytes = [UInt8](repeating: 0, count: 4)
            var span = bytes.mutableSpan
            var target = span.mutableBytes
            var kind: VirtioError.Kind?
            do throws(VirtioError) {
                try entropy.fill(&target) { true }
            } catch {
                kind = error.kind
            }
            #expect(kind == .misbehaved)
        }
    }
}

@Suite(.eachRing) struct ConsoleTests {
    private func takeOutput(_ device: FakeDevice) -> [UInt8] {
        var output: [UInt8] = []
        while let id = device.queues[1].take() {
            output += Array(device.queues[1].descriptor(id).bytes)
            device.queues[1].put(UInt32(id), length: 0)
        }
        device.queues[1].show()
        return output
    }

    @Test func outputComesOutInOrder() throws {
        let device = FakeDevice(.console, features: .eventIndex, queues: 2)
        var console = try VirtioConsole(transport: try FakeMMIO(device).transport())
        let text = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
        var position = 0
        var output: [UInt8] = []
        while position < text.count {
            let count = console.write(text.span.bytes.extracting(position..<text.count))
            // Four buffers of 512 octets.
            #expect(count == min(2048, text.count - position))
            position += count
            let more = console.write(([1] as [UInt8]).span.bytes)
            #expect(more == (position < text.count ? 0 : 1))
            output += takeOutput(device)
        }
        #expect(output.elementsEqual(text + [1]))
        #expect(device.notifications[1] > 0)
    }

    @Test func drainWaitsForTheDevice() throws {
        let device = FakeDevice(.console, queues: 2)
        var console = try VirtioConsole(transport: try FakeMMIO(device).transport())
        _ = console.write(([1, 2, 3] as [UInt8]).span.bytes)
        var isDrained = console.drain { false }
        #expect(!isDrained)
        isDrained = console.drain {
            _ = takeOutput(device)
            return true
        }
        #expect(isDrained)
        isDrained = console.drain { false }
        #expect(isDrained)
    }

    @Test func inputIsReadAndItsBuffersGoBack() throws {
        let device = FakeDevice(.console, features: .eventIndex, queues: 2)
        var console = try VirtioConsole(transport: try FakeMMIO(device).transport())
        #expect(device.queues[0].pending == 4)
        for round in 0..<100 as Range<UInt8> {
            var isReady = console.armInterrupt()
            #expect(!isReady)
            device.deliver([round, 10])
            isReady = console.armInterrupt()
            #expect(isReady)
            console.disarmInterrupt()
            #expect(take(2, from: &console) == [round, 10])
            #expect(take(1, from: &console) == nil)
            // The buffer waits for a flush; in a packed ring nothing does.
            #expect(device.queues[0].pending == (device.queues[0].isPacked ? 4 : 3))
            console.flush()
            #expect(device.queues[0].pending == 4)
        }
    }

    /// What `read` shows, of which so many octets are taken; nil if there is nothing.
    private func take(_ count: Int, from console: inout VirtioConsole) -> [UInt8]? {
        var input: [UInt8] = []
        let isShown = console.read { span in
            for index in 0..<span.byteCount {
                input.append(span.unsafeLoad(fromByteOffset: index, as: UInt8.self))
            }
            return count
        }
        return isShown ? input : nil
    }

    @Test func whatIsNotTakenIsShownAgainAndKeepsItsBuffer() throws {
        let device = FakeDevice(.console, features: .eventIndex, queues: 2)
        var console = try VirtioConsole(transport: try FakeMMIO(device).transport())
        device.deliver([1, 2, 3])
        device.deliver([4])
        #expect(take(0, from: &console) == [1, 2, 3])
        #expect(take(2, from: &console) == [1, 2, 3])
        console.flush()
        #expect(device.queues[0].pending == 2)
        // A body that takes more than there is has taken what there is.
        #expect(take(9, from: &console) == [3])
        #expect(take(1, from: &console) == [4])
        #expect(take(1, from: &console) == nil)
        console.flush()
        #expect(device.queues[0].pending == 4)
    }

    @Test func aBrokenQueueIsReported() throws {
        let device = FakeDevice(.console, queues: 2)
        var console = try VirtioConsole(transport: try FakeMMIO(device).transport())
        device.queues[0].put(0, length: 4097)
        device.queues[0].show()
        let isShown = console.read { $0.byteCount }
        #expect(!isShown)
        let failure = console.failure
        #expect(failure?.kind == .misbehaved)
    }
}
