// The machine's disk as the event loop has it: requests under way, and the tasks that wait for them.

import SwiftletMachine
import SwiftletRuntime
import SwiftletVirtio
import _Concurrency

#if hasFeature(Embedded)
    /// One disk, polled by the event loop. Made when the first `Disk` is.
    final class DiskQueue: EventSource {
        /// A task that waits for a slot, in the order of their coming.
        private final class SlotWaiter {
            var id = WaitID.none
            /// The slot that was handed over; negative until then.
            var slot = -1
        }

        nonisolated(unsafe) private static var instance: DiskQueue?

        /// It lives as long as the machine (see `Network`).
        private let storage: UnsafeMutablePointer<VirtioBlock>
        /// By slot: who waits for its end.
        private var waiters: [WaitID]
        /// By slot: how it ended; nil while it is under way.
        private var outcomes: [VirtioBlock.Outcome?]
        private var slotWaiters: [SlotWaiter] = []
        /// The device broke a rule.
        private(set) var isBroken = false

        /// The disk, started if it was not.
        static func shared() throws(DiskError) -> DiskQueue {
            if let instance { return instance }
            guard let transport = VirtioBus.find(.block, commandLine: Boot.commandLine.bytes)
            else { throw .noDisk }
            do throws(VirtioError) {
                let queue = DiskQueue(try VirtioBlock(transport: transport))
                instance = queue
                EventLoop.add(queue)
                return queue
            } catch {
                report(error)
                throw .noDisk
            }
        }

        private init(_ block: consuming VirtioBlock) {
            let count = block.slotCount
            storage = .allocate(capacity: 1)
            storage.initialize(to: block)
            waiters = Array(repeating: .none, count: count)
            outcomes = Array(repeating: nil, count: count)
        }

        /// Says on the console why the disk cannot be used, or no longer.
        private static func report(_ error: VirtioError) {
            StandardOutput.flush()
            Console.write("swiftlet: disk: ")
            Console.write(error.reason)
            Console.write("\n")
        }

        var sectorCount: UInt64 { storage.pointee.sectorCount }
        var isReadOnly: Bool { storage.pointee.isReadOnly }
        var needsFlush: Bool { storage.pointee.needsFlush }

        // MARK: The event loop's side

        override func poll(now: UInt64) -> Bool {
            while let completion = storage.pointee.takeCompletion() {
                outcomes[completion.slot] = completion.outcome
                Waits.wake(waiters[completion.slot])
            }
            if !isBroken, let failure = storage.pointee.failure { giveUp(failure) }
            return false
        }

        override func flush() { storage.pointee.notify() }

        override func armInterrupt() -> Bool { storage.pointee.armInterrupt() }

        override func disarmInterrupt() { storage.pointee.disarmInterrupt() }

        /// Nothing ends any more, so everybody's wait does.
        @inline(never)
        private func giveUp(_ failure: VirtioError) {
            isBroken = true
            DiskQueue.report(failure)
            for waiter in waiters { Waits.wake(waiter) }
            for waiter in slotWaiters { Waits.wake(waiter.id) }
            slotWaiters = []
        }

        // MARK: Requests

        /// Waits for a slot; first come, first served.
        nonisolated(nonsending) func takeSlot() async throws(DiskError) -> Int {
            if isBroken { throw .broken }
            if let slot = storage.pointee.takeSlot() { return slot }
            let waiter = SlotWaiter()
            slotWaiters.append(waiter)
            while waiter.slot < 0 {
                if isBroken { throw .broken }
                _ = await Waits.wait { waiter.id = $0 }
            }
            return waiter.slot
        }

        /// Waits until a slot's request has ended. A cancelled task waits too: the device has the
        /// request already.
        nonisolated(nonsending) func finish(_ slot: Int) async throws(DiskError) {
            while outcomes[slot] == nil {
                if isBroken { throw .broken }
                _ = await Waits.wait { waiters[slot] = $0 }
            }
            guard outcomes[slot] == .done else {
                giveBack(slot)
                throw .failed
            }
        }

        /// Has the disk read sectors into a slot's buffer.
        @inline(never)
        func read(_ slot: Int, sector: UInt64, octets: Int) throws(DiskError) {
            try submit(.read, slot, sector, octets)
        }

        /// Has the disk write octets, which are copied into a slot's buffer.
        @inline(never)
        func write(
            _ slot: Int, sector: UInt64, _ octets: [UInt8], from start: Int, count: Int
        ) throws(DiskError) {
            octets.withUnsafeBytes {
                storage.pointee.buffer(slot).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: $0[start..<(start + count)]))
            }
            try submit(.write, slot, sector, count)
        }

        /// Has the disk make what was written last.
        @inline(never)
        func flush(_ slot: Int) throws(DiskError) {
            try submit(.flush, slot, 0, 0)
        }

        private func submit(
            _ operation: VirtioBlock.Operation, _ slot: Int, _ sector: UInt64, _ octets: Int
        ) throws(DiskError) {
            outcomes[slot] = nil
            waiters[slot] = .none
            guard
                storage.pointee.submit(operation, slot: slot, sector: sector, octets: octets)
            else {
                giveBack(slot)
                throw .outOfRange
            }
        }

        /// Appends what a slot has read, and gives the slot back.
        @inline(never)
        func take(_ slot: Int, count: Int, into octets: inout [UInt8]) {
            octets.append(contentsOf: storage.pointee.buffer(slot)[..<count])
            giveBack(slot)
        }

        /// Gives back a slot whose request has ended: to who waits longest, if anybody does.
        @inline(never)
        func giveBack(_ slot: Int) {
            guard !slotWaiters.isEmpty else { return storage.pointee.freeSlot(slot) }
            let waiter = slotWaiters.removeFirst()
            waiter.slot = slot
            Waits.wake(waiter.id)
        }
    }
#endif
