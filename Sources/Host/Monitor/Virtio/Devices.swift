// The machine's devices: their registers in physical memory, their turns, and waiting for them.

import CSwiftletKVM
import Glibc

/// All devices of one machine.
struct Devices {
    var network: NetworkDevice?
    var entropy = EntropyDevice()
    var block: BlockDevice?
    var console: ConsoleDevice?
    private static let entropyIndex = 0
    private static let networkIndex = 1
    private static let blockIndex = 2
    private static let consoleIndex = 3
    /// The link has ended, or an error stands on it: it is asked no more.
    private var isLinkDown = false
    /// The registers as the guest reads them, without leaving the machine; nil if each load leaves.
    private var shown: GuestMemory?
    /// Nothing is said of rules that the guest breaks: it was said, or is not to be.
    var isQuiet = false
    var input = ConsoleInput()
    var frames = FreeFrames()
    /// The link, the host's word and standard input, while waiting for them.
    private let polled = UnsafeMutablePointer<pollfd>.allocate(capacity: Devices.polledCount)
    /// Descriptors that are polled at most.
    static let polledCount = 3

    init(
        network: NetworkDevice?, block: BlockDevice? = nil, console: ConsoleDevice? = nil
    ) {
        self.network = network
        self.block = block
        self.console = console
    }

    /// Gives back what the devices allocated, for those that make more than one machine.
    func release() {
        entropy.release()
        network?.release()
        block?.release()
        console?.release()
        shown?.release()
        polled.deallocate()
    }

    /// What the guest's command line says of them.
    var commandLineWords: String {
        var words = Self.word(Self.entropyIndex)
        if network != nil { words += Self.word(Self.networkIndex) }
        if block != nil { words += Self.word(Self.blockIndex) }
        if console != nil { words += Self.word(Self.consoleIndex) }
        return words
    }

    private static func word(_ index: Int) -> String {
        let size = String(VirtioRegisters.windowSize, radix: 16)
        let address = String(MachineLayout.deviceAddress(index), radix: 16)
        // Nothing interrupts here; the number is there because the word has one.
        return " virtio_mmio.device=0x\(size)@0x\(address):\(index + 1)"
    }

    /// The pages of registers that are to be mapped, one behind the other: that of a device which is
    /// not there is empty.
    var registerPages: [UInt64] {
        let last =
            console != nil
            ? Self.consoleIndex
            : block != nil
                ? Self.blockIndex : network != nil ? Self.networkIndex : Self.entropyIndex
        return (0...last).map(MachineLayout.deviceAddress)
    }

    // MARK: Registers

    func load(_ address: UInt64, size: Int) -> UInt64 {
        let offset = address % MachineLayout.pageSize
        switch address - offset {
        case MachineLayout.deviceAddress(Self.entropyIndex):
            return entropy.registers.load(offset, size: size)
        case MachineLayout.deviceAddress(Self.networkIndex):
            return network?.registers.load(offset, size: size) ?? .max
        case MachineLayout.deviceAddress(Self.blockIndex):
            return block?.registers.load(offset, size: size) ?? .max
        case MachineLayout.deviceAddress(Self.consoleIndex):
            return console?.registers.load(offset, size: size) ?? .max
        default: return .max
        }
    }

    mutating func store(_ value: UInt64, at address: UInt64, size: Int, _ memory: GuestMemory) {
        let offset = address % MachineLayout.pageSize
        switch address - offset {
        case MachineLayout.deviceAddress(Self.entropyIndex):
            entropy.registers.store(value, at: offset, size: size, memory)
            show(entropy.registers, Self.entropyIndex)
        case MachineLayout.deviceAddress(Self.networkIndex):
            network?.registers.store(value, at: offset, size: size, memory)
            if let network { show(network.registers, Self.networkIndex) }
        case MachineLayout.deviceAddress(Self.blockIndex):
            block?.registers.store(value, at: offset, size: size, memory)
            if let block { show(block.registers, Self.blockIndex) }
        case MachineLayout.deviceAddress(Self.consoleIndex):
            console?.store(value, at: offset, size: size, memory)
            if let console { show(console.registers, Self.consoleIndex) }
        default: break
        }
    }

    /// Makes pages that hold what loads give, from now on: `give` maps them for reading.
    mutating func showRegisters(
        _ give: (GuestMemory) throws(MonitorError) -> Void
    ) throws(MonitorError) {
        let start = MachineLayout.deviceAddress(0)
        let size = UInt64(registerPages.count) * MachineLayout.pageSize
        let pages = try GuestMemory(start..<(start + size))
        shown = pages
        entropy.registers.showConstants(at: pages.base)
        show(entropy.registers, Self.entropyIndex)
        if let network {
            network.registers.showConstants(
                at: pages.base + Self.networkIndex * Int(MachineLayout.pageSize))
            show(network.registers, Self.networkIndex)
        }
        if let block {
            block.registers.showConstants(
                at: pages.base + Self.blockIndex * Int(MachineLayout.pageSize))
            show(block.registers, Self.blockIndex)
        }
        if let console {
            console.registers.showConstants(
                at: pages.base + Self.consoleIndex * Int(MachineLayout.pageSize))
            show(console.registers, Self.consoleIndex)
        }
        try give(pages)
    }

    private func show(_ registers: VirtioRegisters, _ index: Int) {
        guard let shown else { return }
        registers.show(at: shown.base + index * Int(MachineLayout.pageSize))
    }

    // MARK: Turns

    /// Gives each device its turn. True if a driver wants to hear of what was done.
    mutating func process(_ memory: GuestMemory) -> Bool {
        var hasNews = false
        do throws(QueueViolation) {
            if try entropy.process(memory) { hasNews = true }
        } catch {
            entropy.registers.fail()
            show(entropy.registers, Self.entropyIndex)
            complain("entropy", error)
        }
        do throws(QueueViolation) {
            if try network?.process(memory) ?? false { hasNews = true }
        } catch {
            network?.registers.fail()
            if let network { show(network.registers, Self.networkIndex) }
            complain("network", error)
        }
        do throws(QueueViolation) {
            if try block?.process(memory) ?? false { hasNews = true }
        } catch {
            block?.registers.fail()
            if let block { show(block.registers, Self.blockIndex) }
            complain("disk", error)
        }
        do throws(QueueViolation) {
            if try console?.process(memory) ?? false { hasNews = true }
        } catch {
            console?.fail()
            if let console { show(console.registers, Self.consoleIndex) }
            complain("console", error)
        }
        return hasNews
    }

    /// Said once: a guest may break rules as often as it likes.
    private mutating func complain(_ device: String, _ violation: QueueViolation) {
        guard !isQuiet else { return }
        isQuiet = true
        Console.complain("the guest broke virtio's rules (\(device)): \(violation.rule)")
    }

    /// Gives devices their turn, and waits for something to do if there was nothing, at most so
    /// many nanoseconds (all ones: without end).
    ///
    /// - Returns: whether the guest is to hear that the application is asked to finish.
    mutating func wait(_ nanoseconds: UInt64, _ memory: GuestMemory) -> Bool {
        let isAsked = input.look()
        guard !process(memory), nanoseconds > 0, !isAsked else { return isAsked }
        var link: Int32 = -1
        if let network, !isLinkDown, network.hasReceiveBuffers(memory) {
            if network.link.hasFrame {
                _ = process(memory)
                return false
            }
            link = network.link.file
        }
        let (hasNews, hasWord) = sleep(link, nanoseconds, memory)
        if hasNews { _ = process(memory) }
        return hasWord && input.take()
    }

    /// Waits for something for the guest's devices, or for the host's word; memory that the guest has
    /// freed goes back to the host meanwhile.
    private mutating func sleep(
        _ link: Int32, _ nanoseconds: UInt64, _ memory: GuestMemory
    ) -> (hasNews: Bool, hasWord: Bool) {
        let standardInput = console?.polled(memory) ?? -1
        var left = nanoseconds
        var delay = frames.delay(hasRun: true)
        while true {
            let time = min(left, delay)
            polled[0] = pollfd(fd: link, events: Int16(POLLIN), revents: 0)
            polled[1] = pollfd(fd: input.file, events: Int16(POLLIN), revents: 0)
            polled[2] = pollfd(fd: standardInput, events: Int16(POLLIN), revents: 0)
            if swiftlet_poll(polled, nfds_t(Self.polledCount), time) != 0 || time == left { break }
            frames.giveBack(memory)
            if left != .max { left -= time }
            delay = frames.delay(hasRun: false)
        }
        if polled[0].revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 {
            isLinkDown = true
            Console.complain("the network link has gone")
        }
        return (polled[0].revents | polled[2].revents != 0, polled[1].revents != 0)
    }
}
