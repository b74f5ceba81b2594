// What the run starts on the host: C programs of the peers and clients, and servers as processes.

import Foundation

extension Bench {
    static let builtInName = "Swiftlet, built-in monitor"

    /// A program of `Benchmarks/`, compiled once a run.
    func program(_ source: String, isStatic: Bool = false) throws(NotMeasured) -> URL {
        let name = ((source as NSString).lastPathComponent as NSString).deletingPathExtension
        let file = work.appending(path: isStatic ? "\(name)-static" : name)
        if !FileManager.default.fileExists(atPath: file.path) {
            try Command.run(
                ["cc", "-O2", "-D_GNU_SOURCE", "-o", file.path] + (isStatic ? ["-static"] : [])
                    + [root.appending(path: "Benchmarks/\(source)").path])
        }
        return file
    }

    /// The words that start a client: inside the namespace, on its own processor.
    func client(_ source: String) throws(NotMeasured) -> [String] {
        var words = try network.get().enter
        if let processor = Self.pins?.client { words += ["taskset", "-c", "\(processor)"] }
        return words + [try program(source).path]
    }

    /// The words that start an image in the built-in monitor, on the run's tap.
    func monitorArguments(_ image: SwiftletImage) throws(NotMeasured) -> [String] {
        guard access("/dev/kvm", R_OK | W_OK) == 0 else {
            throw NotMeasured("/dev/kvm does not open")
        }
        let monitor = root.appending(path: ".build/release/swiftlet-monitor")
        guard FileManager.default.isExecutableFile(atPath: monitor.path) else {
            throw NotMeasured("no .build/release/swiftlet-monitor: `make build` makes it")
        }
        return [
            monitor.path, "--memory", "\(64 << 20)", "--command-line",
            "ip=\(NetworkNamespace.guestAddress)/24", "--tap", NetworkNamespace.tap,
            "--hardware-address", NetworkNamespace.guestMAC, image.built.path,
        ]
    }

    /// nginx with the configuration of the Linux machine, on another port and folder.
    func nginxArguments() throws(NotMeasured) -> [String] {
        let folder = work.appending(path: "nginx")
        let peer = root.appending(path: "Benchmarks/Peers/nginx.conf")
        do {
            try FileManager.default.createDirectory(
                at: folder.appending(path: "site"), withIntermediateDirectories: true)
            try Data("Hello".utf8).write(to: folder.appending(path: "site/index.html"))
            let text = try String(contentsOf: peer, encoding: .utf8)
                .replacingOccurrences(of: "/tmp/", with: folder.path + "/")
                .replacingOccurrences(of: "listen 80 ", with: "listen 127.0.0.1:8082 ")
                .replacingOccurrences(of: "root /site", with: "root \(folder.path)/site")
            try Data(text.utf8).write(to: folder.appending(path: "nginx.conf"))
        } catch { throw NotMeasured("\(error)") }
        return try linux.get().nginx + ["-c", folder.appending(path: "nginx.conf").path]
    }

    /// A server as a process of this machine, pinned, in the run's namespace; ended in any case.
    func withProcess<T>(
        _ command: [String], _ body: (LongRunning) throws(NotMeasured) -> T
    ) throws(NotMeasured) -> T {
        let network = try network.get()
        try network.setNeighbour()
        var words = network.enter
        if let pins = Self.pins { words += ["taskset", "-c", "\(pins.machine)"] }
        let process = try LongRunning(words + ["setpriv", "--pdeathsig", "KILL"] + command)
        let identifier = process.identifier
        let cleanup = Cleanup.add { kill(identifier, SIGKILL) }
        defer {
            process.stop()
            Cleanup.remove(cleanup)
        }
        return try body(process)
    }

    /// The same of an HTTP server, waited for until it answers at `address`, a host and a port.
    func withProcess<T>(
        _ command: [String], servingAt address: String,
        _ body: (LongRunning, HTTPLoad) throws(NotMeasured) -> T
    ) throws(NotMeasured) -> T {
        try withProcess(command) { (process) throws(NotMeasured) in
            let load = HTTPLoad(
                network: try network.get(), processor: Self.pins?.client, url: "http://\(address)/"
            )
            var tries = 0
            while load.answer() == nil {
                tries += 1
                guard process.isRunning, tries < 100 else { throw NotMeasured("no answer") }
                usleep(20_000)
            }
            return try body(process, load)
        }
    }
}
