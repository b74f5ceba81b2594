// The one process that watches over an instance: it starts the machine, keeps its console, carries
// out commands and the restart policy, and records the end.
//
// One thread, one poll(2), no clock but the monotonic one: what it waits for are descriptors (the
// FIFO, signals, the console, the machine's end) and at most one time.

import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage

/// Watches over one instance from its first start to its end.
public final class Supervisor {
    /// Where the console goes besides the log. False means that it cannot take more for now: the
    /// console then waits, and the guest with it.
    public struct Sink: Sendable {
        public var write: @Sendable (ArraySlice<UInt8>) -> Void
        public var hasRoom: @Sendable () -> Bool
        /// Takes a line of what the monitor complained of.
        public var complain: @Sendable (String) -> Void

        public init(
            write: @escaping @Sendable (ArraySlice<UInt8>) -> Void,
            hasRoom: @escaping @Sendable () -> Bool,
            complain: @escaping @Sendable (String) -> Void
        ) {
            self.write = write
            self.hasRoom = hasRoom
            self.complain = complain
        }
    }

    /// A machine that is ready to be started.
    public struct Machine: Sendable {
        public var command: MachineCommand
        /// Whether the guest listens to `ConsoleControl.stop`; if not, to ask it is pointless.
        public var listensForStop: Bool

        public init(command: MachineCommand, listensForStop: Bool) {
            self.command = command
            self.listensForStop = listensForStop
        }
    }

    /// Before a machine that was asked to finish is killed, in seconds.
    public static let patience: Double = 10

    let claim: ClaimedInstance
    let prepare: (ClaimedInstance) throws(ToolError) -> Machine
    let sink: Sink?
    private var input: InputPump
    var backOff: RestartBackOff
    var log: ConsoleLogWriter
    var state = InstanceState()
    var child: SupervisedMachine?
    /// What is to come of the machine that runs, because somebody asked.
    var wish = Wish.none
    /// When patience ends, or the next start is due.
    var alarm: ContinuousClock.Instant?
    private var commands = LineBuffer()

    enum Wish: Equatable { case none, stop, restart }

    /// - Parameters:
    ///   - input: where a guest that has standard input gets it from; nil: it is at its end.
    ///   - prepare: makes the machine's command line, before each start.
    public init(
        _ claim: ClaimedInstance, sink: Sink? = nil, input: FileDescriptor? = nil,
        backOff: RestartBackOff = RestartBackOff(),
        prepare: @escaping (ClaimedInstance) throws(ToolError) -> Machine = Supervisor.machine
    ) {
        self.claim = claim
        self.prepare = prepare
        self.sink = sink
        self.input = InputPump(input)
        self.backOff = backOff
        log = ConsoleLogWriter(claim.folder.log)
        state.supervisor = getpid()
    }

    /// The machine of the configuration, by its monitor.
    public static func machine(_ claim: ClaimedInstance) throws(ToolError) -> Machine {
        try machine(claim, of: try Image(claim.folder.image(of: claim.configuration)))
    }

    /// The same of an image that was read before.
    public static func machine(
        _ claim: ClaimedInstance, of image: Image
    ) throws(ToolError) -> Machine {
        let configuration = claim.configuration
        let request = try configuration.request(
            image: image.at(claim.folder.image(of: configuration)))
        let monitor = try Monitors.commandLine(configuration.monitor)
        let command = try monitor.command(for: request, in: claim.folder.path)
        return Machine(
            command: command,
            listensForStop: request.image.listensForStop)
    }

    /// Runs the instance to its end, and blocks so long. The thread that calls is the one whose end
    /// kills the machine.
    ///
    /// - Parameter started: called once the machine has been started.
    /// - Returns: the instance's exit code; and in words what there is to say of an end that nobody
    ///   asked for.
    /// - Throws: what prevented the first start; `started` was not called then.
    public func run(started: () -> Void = {}) throws(ToolError) -> (code: Int32, reason: String?) {
        SupervisorSignals.install()
        defer { SupervisorSignals.remove() }
        let control: FileDescriptor
        do {
            // Reading and writing, so that there is always a writer and never an end of file.
            control = try FileDescriptor.open(
                claim.folder.control, .readWrite, options: [.nonBlocking, .closeOnExec])
        } catch {
            throw ToolError("cannot open '\(claim.folder.control)': \(error)")
        }
        defer { try? control.close() }
        do throws(ToolError) {
            try start()
        } catch {
            finish(code: error.exitCode, reason: error.message)
            throw error
        }
        started()
        while state.phase != .exited { turn(control) }
        return (state.exitCode ?? ExitCode.failure, wish == .stop ? nil : state.reason)
    }

    private func turn(_ control: FileDescriptor) {
        var polled = [
            pollfd(fd: control.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: SupervisorSignals.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        let hasRoom = sink?.hasRoom() ?? true
        if let child {
            polled += child.polled(hasRoom: hasRoom)
        }
        // The last one, where there is something to be passed on, or room for it.
        let passing = child?.input.flatMap { input.polled($0) }
        if let passing { polled.append(passing) }
        var timeout: Int32 = hasRoom ? -1 : 20
        if let alarm {
            let left = ContinuousClock.now.duration(to: alarm)
            let milliseconds =
                left.components.seconds * 1000
                + left.components.attoseconds / 1_000_000_000_000_000
            let due = Int32(min(max(milliseconds + 1, 0), 3_600_000))
            timeout = timeout < 0 ? due : min(timeout, due)
        }
        _ = poll(&polled, nfds_t(polled.count), timeout)

        if polled[1].revents != 0 { SupervisorSignals.take().forEach(receive) }
        if polled[0].revents != 0 { commands.read(control).forEach(obey) }
        if let target = child?.input, passing != nil, polled[polled.count - 1].revents != 0 {
            input.pass(to: target)
        }
        if let child {
            if hasRoom { child.readConsole(pass) }
            child.readComplaints()
            if child.hasEnded {
                child.drain(pass)
                ended(child)
            }
        }
        if let alarm, ContinuousClock.now >= alarm { alarmRings() }
    }

    private func pass(_ octets: ArraySlice<UInt8>) {
        log.write(octets)
        sink?.write(octets)
    }

    // MARK: Starting and ending

    func start() throws(ToolError) {
        alarm = nil
        wish = .none
        let machine = try prepare(claim)
        let child = try SupervisedMachine(machine)
        self.child = child
        input.begin()
        state.phase = .running
        state.machine = child.process.identifier
        state.machineStart = ProcessUsage(child.process.identifier)?.start
        state.started = ConsoleLogWriter.wallTime()
        state.ended = nil
        save()
    }

    private func ended(_ child: SupervisedMachine) {
        let end = child.end()
        log.endLine()
        for line in child.complaintLines {
            log.note(line)
            if end.reason?.hasSuffix(line) != true { sink?.complain(line) }
        }
        self.child = nil
        alarm = nil
        state.machine = nil
        state.machineStart = nil
        state.ended = ConsoleLogWriter.wallTime()
        state.exitCode = end.code
        state.reason = end.reason
        switch wish {
        case .stop:
            finish(code: end.code, reason: end.reason)
        case .restart:
            startAgain()
        case .none:
            let policy = claim.configuration.restart
            guard policy.restarts(after: end.code, restarts: state.restarts) else {
                return finish(code: end.code, reason: end.reason)
            }
            waitForRestart(afterLife: child.began.duration(to: .now))
        }
    }

    private func waitForRestart(afterLife life: Duration) {
        let delay = backOff.delay(afterLife: life)
        log.note("\(state.reason ?? "it ended"); it is started again in \(delay)")
        state.phase = .restarting
        state.restarts += 1
        alarm = ContinuousClock.now + delay
        save()
    }

    private func startAgain() {
        do throws(ToolError) {
            try start()
        } catch {
            state.reason = error.message
            state.exitCode = error.exitCode
            log.note(error.description)
            let policy = claim.configuration.restart
            guard policy.restarts(after: error.exitCode, restarts: state.restarts) else {
                return finish(code: error.exitCode, reason: error.message)
            }
            waitForRestart(afterLife: .zero)
        }
    }

    private func finish(code: Int32, reason: String?) {
        state.phase = .exited
        state.exitCode = code
        state.reason = reason
        state.ended = state.ended ?? ConsoleLogWriter.wallTime()
        alarm = nil
        log.close()
        save()
        // For those who wait and will find no folder.
        _ = try? claim.lock.descriptor.writeAll(toAbsoluteOffset: 0, Array("\(code)\n".utf8))
        if claim.configuration.removesItself { try? claim.store.removeOwn(claim.folder) }
    }

    func save() {
        claim.folder.save(state)
    }

    private func alarmRings() {
        alarm = nil
        if let child {
            log.note("it has not finished in time and is killed")
            child.kill(because: "killed, as it did not finish in time")
        } else if state.phase == .restarting {
            startAgain()
        }
    }

    // MARK: Commands

    private func receive(_ signal: Int32) {
        guard state.phase != .exited else { return }
        if wish == .stop { return obey(.kill) }
        child?.stoppedBy = signal
        obey(.stop(seconds: Self.patience))
    }

    private func obey(_ command: InstanceCommand) {
        // Of commands that come together one may be the end.
        guard state.phase != .exited else { return }
        guard let child else {
            // It waits for its next start.
            switch command {
            case .stop, .kill: finish(code: state.exitCode ?? 0, reason: state.reason)
            case .restart: startAgain()
            case .pause, .resume: break
            }
            return
        }
        switch command {
        case .stop(let seconds): ask(child, .stop, seconds)
        case .restart(let seconds): ask(child, .restart, seconds)
        case .kill:
            wish = .stop
            child.kill(because: "killed")
        case .pause where state.phase == .running:
            // The whole monitor sleeps; the guest's clocks are the host's, and go on.
            child.process.send(SIGSTOP)
            state.phase = .paused
            save()
        case .resume where state.phase == .paused:
            child.process.send(SIGCONT)
            state.phase = .running
            save()
        case .pause, .resume: break
        }
    }

    private func ask(_ child: SupervisedMachine, _ wish: Wish, _ seconds: Double) {
        // Who wanted the end waits for it.
        guard wish == .stop || self.wish != .stop else { return }
        self.wish = wish
        if state.phase == .paused { child.process.send(SIGCONT) }
        state.phase = .stopping
        save()
        child.ask()
        alarm = ContinuousClock.now + .milliseconds(Int64(seconds * 1000))
    }

    private func obey(_ line: String) {
        if let command = InstanceCommand(line: line) { obey(command) }
    }
}

/// Lines out of a descriptor, whichever way they arrive.
struct LineBuffer {
    private var held: [UInt8] = []

    mutating func read(_ file: FileDescriptor) -> [String] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        guard let count = try? buffer.withUnsafeMutableBytes({ try file.read(into: $0) }) else {
            return []
        }
        held += buffer[..<count]
        var lines: [String] = []
        while let newline = held.firstIndex(of: UInt8(ascii: "\n")) {
            lines.append(String(decoding: held[..<newline], as: UTF8.self))
            held.removeSubrange(...newline)
        }
        // No command is that long.
        if held.count > 256 { held.removeAll() }
        return lines
    }
}
