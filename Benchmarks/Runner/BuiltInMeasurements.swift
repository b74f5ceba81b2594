// The built-in monitor beside what people run today: from a process's start to the first answer,
// and requests a second, against a container, QEMU, and servers that are plain processes.

import Foundation

/// One part of a start in the built-in monitor.
struct StartPart: Codable {
    let what: String
    /// Median.
    var milliseconds: Double?
    var notMeasured: String?
}

extension Bench {
    /// Milliseconds from the monitor's start to the first answer, a machine in between.
    func startToFirstAnswer() throws(NotMeasured) -> Figure {
        let count = quick ? 21 : 101
        let own = try firstAnswers(
            count, at: NetworkNamespace.guestAddress, 80, monitorArguments(try server.get()))
        let machine = firstAnswerText("QEMU", own) { () throws(NotMeasured) in
            let network = try network.get()
            var configuration = try server.get().configuration(on: network)
            configuration.network = network
            // Without the words that enter the namespace: `firstAnswers` adds them.
            let words = configuration.arguments.dropFirst(network.enter.count)
            return try firstAnswers(
                quick ? 3 : 11, at: NetworkNamespace.guestAddress, 80, Array(words))
        }
        let container = firstAnswerText("crun", own) { () throws(NotMeasured) in
            try containerFirstAnswers(quick ? 7 : 31)
        }
        let process = firstAnswerText("plain process", own) { () throws(NotMeasured) in
            let server = try nativeServer()
            return try firstAnswers(quick ? 7 : 31, at: "127.0.0.1", 8081, [server.path, "8081"])
        }
        let detail = "median of \(count); \(container); \(machine); \(process)"
        return Figure(value: own, detail: detail)
    }

    /// The same on a published port of the loopback interface, through the user network.
    func startToPublishedAnswer() throws(NotMeasured) -> Figure {
        let count = quick ? 21 : 101
        return Figure(
            value: try firstAnswers(count, at: "127.0.0.1", 8084, publishedArguments()),
            detail: "median of \(count)")
    }

    /// The parts of such a start, by the monitor's own clock.
    func partsOfStart() -> [StartPart] {
        let count = quick ? 21 : 101
        let names = [
            "process started", "image opened, ports taken, network's process started",
            "machine and processor made by KVM", "image loaded", "page tables written",
            "memory and registers set, process confined", "guest ran to its first exit",
            "guest booted and listens", "first answer, through the network",
        ]
        switch Self.attempt({ () throws(NotMeasured) in
            try starts(count, at: "127.0.0.1", 8084, publishedArguments())
        }) {
        case .success(let starts):
            // From one moment to the next; the answer is the first number, and the last moment.
            let laps = starts.filter { $0.count == names.count }.map { (start) -> [Double] in
                var moments: [Double] = [0]
                moments += start.dropFirst()
                moments += start.prefix(1)
                return zip(moments.dropFirst(), moments).map { $0 - $1 }
            }
            guard laps.count == starts.count else {
                return [StartPart(what: "", notMeasured: "the monitor noted no moments")]
            }
            return names.indices.map { index in
                StartPart(
                    what: names[index], milliseconds: laps.map { $0[index] }.median)
            } + [StartPart(what: "all of it", milliseconds: starts.map { $0[0] }.median)]
        case .failure(let reason): return [StartPart(what: "", notMeasured: "\(reason)")]
        }
    }

    private func firstAnswerText(
        _ peer: String, _ own: Double, _ measure: () throws(NotMeasured) -> Double
    ) -> String {
        switch Self.attempt(measure) {
        case .success(let value):
            return String(format: "%@ %.1f ms (%.2f ×)", peer, value, own / value)
        case .failure(let reason): return "\(peer) not measured: \(reason)"
        }
    }

    // MARK: What is started

    private func publishedArguments() throws(NotMeasured) -> [String] {
        let tap = try monitorArguments(try server.get())
        return [
            tap[0], "--memory", "\(64 << 20)", "--command-line",
            "ip=10.0.2.15/24 gateway=10.0.2.2", "--user-network", "--publish",
            "tcp:127.0.0.1:8084:80",
        ] + tap.suffix(1)
    }

    private func nativeServer() throws(NotMeasured) -> URL {
        try program("Peers/epoll_server.c", isStatic: true)
    }

    // MARK: How it is measured

    private func firstAnswers(
        _ count: Int, at address: String, _ port: Int, _ command: [String]
    ) throws(NotMeasured) -> Double {
        try starts(count, at: address, port, command).map { $0[0] }.median ?? .nan
    }

    /// Of each start the milliseconds to the first answer, and those to the monitor's moments.
    private func starts(
        _ count: Int, at address: String, _ port: Int, _ command: [String]
    ) throws(NotMeasured) -> [[Double]] {
        let network = try network.get()
        try network.setNeighbour()
        let words =
            network.enter + [try program("Client/first_answer.c").path, address, "\(port)"]
            + command
        var starts: [[Double]] = []
        for _ in 0..<count {
            let numbers = try Command.run(words).split(whereSeparator: \.isWhitespace)
            starts.append(
                try numbers.map { (word) throws(NotMeasured) -> Double in
                    try Self.milliseconds(String(word))
                })
            guard !numbers.isEmpty else { throw NotMeasured("no time") }
        }
        return starts
    }

    /// The same server in a container of crun's: file system, processes and names of its own, the
    /// network shared. Host cgroups may be of a kind that it does not take, so it gets its own.
    private func containerFirstAnswers(_ count: Int) throws(NotMeasured) -> Double {
        let bundle = work.appending(path: "bundle")
        let folder = bundle.appending(path: "rootfs")
        do {
            for name in ["dev", "proc"] {
                try FileManager.default.createDirectory(
                    at: folder.appending(path: name), withIntermediateDirectories: true)
            }
            if !FileManager.default.fileExists(atPath: folder.appending(path: "server").path) {
                try FileManager.default.copyItem(
                    at: try nativeServer(), to: folder.appending(path: "server"))
            }
            let configuration = """
                {"ociVersion": "1.0.0", "root": {"path": "rootfs", "readonly": true},
                "process": {"user": {"uid": 0, "gid": 0}, "args": ["/server", "8083"],
                "env": ["PATH=/"], "cwd": "/"},
                "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
                "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}]}}
                """
            try Data(configuration.utf8).write(to: bundle.appending(path: "config.json"))
        } catch let error as NotMeasured { throw error } catch { throw NotMeasured("\(error)") }
        let network = try network.get()
        let script = """
            mount -t tmpfs none /sys/fs/cgroup; umount /sys/fs/cgroup/unified 2>/dev/null
            "$1" 127.0.0.1 8083 crun --cgroup-manager=disabled run --bundle "$2" "$3"
            status=$?; crun delete --force "$3"; exit $status
            """
        var times: [Double] = []
        for number in 0..<count {
            let words =
                network.enter + [
                    "unshare", "-m", "sh", "-c", script, "sh",
                    try program("Client/first_answer.c").path,
                    bundle.path,
                    "\(network.name)-\(number)",
                ]
            times.append(try Self.milliseconds(try Command.run(words)))
        }
        return times.median ?? .nan
    }

    private static func milliseconds(_ output: String) throws(NotMeasured) -> Double {
        let text = output.trimmingCharacters(in: .whitespacesAndNewlines)
        guard let microseconds = Double(text) else { throw NotMeasured("no time: \(text)") }
        return microseconds / 1000
    }
}
