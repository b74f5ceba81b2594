// One machine under QEMU's microvm, with TCG: the same accelerator, processor model and devices
// for every guest that is compared.

import Foundation

struct MachineConfiguration {
    var kernel: URL
    var initialRAMDisk: URL?
    var commandLine = ""
    /// Guest memory in KiB. QEMU rounds up to a multiple of 8 KiB.
    var memory = 128 * 1024
    /// Options of `-M microvm`, for a guest that wants legacy timers.
    var machineOptions = ""
    var network: NetworkNamespace?
    var counting: Counting?
    /// The processor that QEMU is pinned to.
    var processor: Int?

    struct Counting {
        let plugin: URL
        /// Where the plugin counts, and QEMU logs console octets if `logging`.
        let file: URL
        var marks: [UInt64] = []
        var logging = false
        var profiling = false
        var log: URL { file.appendingPathExtension("log") }
    }

    var arguments: [String] {
        var arguments = network?.enter ?? []
        if let processor { arguments += ["taskset", "-c", "\(processor)"] }
        // The machine must not outlive the runner, however that ends.
        arguments += ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"]
        arguments += ["-M", "microvm" + machineOptions, "-accel", "tcg", "-cpu", "max"]
        arguments += ["-m", "\(memory)K", "-nodefaults", "-no-user-config", "-no-reboot"]
        arguments += ["-display", "none", "-serial", "stdio", "-kernel", kernel.path]
        if let initialRAMDisk { arguments += ["-initrd", initialRAMDisk.path] }
        if !commandLine.isEmpty { arguments += ["-append", commandLine] }
        if network != nil {
            arguments += ["-global", "virtio-mmio.force-legacy=false"]
            arguments += [
                "-netdev",
                "tap,id=net,ifname=\(NetworkNamespace.tap),script=no,downscript=no",
                "-device", "virtio-net-device,netdev=net,mac=\(NetworkNamespace.guestMAC)",
            ]
        }
        if let counting {
            var option = "\(counting.plugin.path),out=\(counting.file.path)"
            for mark in counting.marks { option += ",mark=0x\(String(mark, radix: 16))" }
            if counting.profiling { option += ",profile=on" }
            if counting.logging {
                option += ",log=on"
                arguments += ["-trace", "serial_write", "-d", "plugin", "-D", counting.log.path]
            }
            arguments += ["-plugin", option]
        }
        return arguments
    }
}

final class VirtualMachine {
    private let process: Process
    private let output: Pipe?
    private let errors: URL
    private let cleanup: Int
    let started: ContinuousClock.Instant
    private(set) var console: [UInt8] = []
    private(set) var firstOutput: Duration?

    /// Starts the machine. Its console goes to `consoleFile`, or is read with `readConsole`.
    init(_ configuration: MachineConfiguration, consoleFile: URL? = nil) throws(NotMeasured) {
        let process = try Command.process(configuration.arguments)
        self.process = process
        errors = Scratch.makeFile()
        process.standardError = FileHandle(forWritingAtPath: errors.path)
        if let consoleFile {
            _ = FileManager.default.createFile(atPath: consoleFile.path, contents: nil)
            process.standardOutput = FileHandle(forWritingAtPath: consoleFile.path)
            output = nil
        } else {
            let pipe = Pipe()
            process.standardOutput = pipe
            output = pipe
        }
        started = .now
        do { try process.run() } catch { throw NotMeasured("QEMU: \(error)") }
        let identifier = process.processIdentifier
        cleanup = Cleanup.add { kill(identifier, SIGKILL) }
    }

    var isRunning: Bool { process.isRunning }

    /// What QEMU itself complained of, for a failed start.
    var complaint: String {
        let text = (try? String(contentsOf: errors, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").last.map(String.init) ?? "QEMU ended"
    }

    /// Reads the console until the machine ends (true), `until` holds (false), or `limit` has
    /// passed (false).
    func readConsole(limit: Duration, until: ([UInt8]) -> Bool = { _ in false }) -> Bool {
        guard let handle = output?.fileHandleForReading else { return false }
        let end = ContinuousClock.now + limit
        while !until(console) {
            let left = (end - .now) / .milliseconds(1)
            if left <= 0 { return false }
            var events = pollfd(fd: handle.fileDescriptor, events: Int16(POLLIN), revents: 0)
            if poll(&events, 1, Int32(left.rounded(.up))) <= 0 { continue }
            let now = ContinuousClock.now
            let data = handle.availableData
            if data.isEmpty { return true }
            if firstOutput == nil { firstOutput = now - started }
            console += data
        }
        return false
    }

    func stop() {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        Cleanup.remove(cleanup)
        try? FileManager.default.removeItem(at: errors)
    }
}
