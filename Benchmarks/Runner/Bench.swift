// What all measurements share: the tools that were built for the run, the images, the network.

import Foundation

struct Bench {
    let quick: Bool
    let root: URL
    let work: URL
    let plugin: Result<URL, NotMeasured>
    let floor: Result<URL, NotMeasured>
    let hello: Result<SwiftletImage, NotMeasured>
    let server: Result<SwiftletImage, NotMeasured>
    let network: Result<NetworkNamespace, NotMeasured>
    let linux: Result<LinuxPeer, NotMeasured>

    /// With two processors or more, machine and client each have their own.
    static let pins: (machine: Int, client: Int)? =
        ProcessInfo.processInfo.activeProcessorCount >= 2 ? (0, 1) : nil

    /// - Parameter withLinux: whether the Linux machine is to be measured; it takes long to prepare.
    init(
        root: URL, quick: Bool, hello: URL?, server: URL?, work: URL, withLinux: Bool = true,
        progress: (String) -> Void
    ) {
        let folder = root.appending(path: "Benchmarks")
        self.quick = quick
        self.root = root
        self.work = work
        progress("building the plugin and the floor image")
        plugin = Self.attempt { () throws(NotMeasured) in
            let file = work.appending(path: "count.so")
            try Command.run([
                "cc", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-o", file.path,
                folder.appending(path: "Plugin/count.c").path,
            ])
            return file
        }
        floor = Self.attempt { () throws(NotMeasured) in
            let file = work.appending(path: "floor")
            try Command.run([
                "cc", "-nostdlib", "-static", "-Wl,-N,-Ttext=0x30000,--build-id=none",
                "-Wl,--no-warn-rwx-segments", "-o", file.path,
                folder.appending(path: "Peers/floor.S").path,
            ])
            return file
        }
        progress("building the images")
        self.hello = Self.attempt { () throws(NotMeasured) in
            if let hello { return try SwiftletImage(hello, work: work) }
            return try SwiftletImage(example: "Hello", root: root, work: work)
        }
        self.server = Self.attempt { () throws(NotMeasured) in
            if let server { return try SwiftletImage(server, work: work) }
            return try SwiftletImage(example: "HelloHTTP", root: root, work: work)
        }
        network = Self.attempt { () throws(NotMeasured) in try NetworkNamespace() }
        if withLinux { progress("preparing the Linux machine") }
        linux = Self.attempt { () throws(NotMeasured) in
            guard withLinux else { throw NotMeasured("not asked for") }
            return try LinuxPeer(peers: folder.appending(path: "Peers"), work: work)
        }
    }

    static func attempt<T>(_ body: () throws(NotMeasured) -> T) -> Result<T, NotMeasured> {
        do { return .success(try body()) } catch { return .failure(error) }
    }

    /// A machine on the run's network, waited for until it answers, stopped in any case.
    func withServer<T>(
        _ configuration: MachineConfiguration, counting: MachineConfiguration.Counting? = nil,
        _ body: (HTTPLoad, HTTPLoad.FirstAnswer) throws(NotMeasured) -> T
    ) throws(NotMeasured) -> T {
        let network = try network.get()
        var configuration = configuration
        configuration.network = network
        configuration.counting = counting
        configuration.processor = Self.pins?.machine
        let console = work.appending(path: "console-\(configuration.kernel.lastPathComponent)")
        let machine = try VirtualMachine(configuration, consoleFile: console)
        defer { machine.stop() }
        try network.setNeighbour()
        let load = HTTPLoad(network: network, processor: Self.pins?.client)
        let first = try load.waitForAnswer(of: machine, limit: .seconds(20))
        return try body(load, first)
    }
}

extension [Double] {
    var median: Double? {
        let sorted = sorted()
        if isEmpty { return nil }
        return count % 2 == 1
            ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2
    }
}
