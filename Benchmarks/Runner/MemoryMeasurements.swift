// The least memory that an image runs with, bisected.

import Foundation

extension Bench {
    /// KiB. QEMU takes any size and rounds it up to 8 KiB, which is the step here.
    private static let step = 8
    private static let mostSteps = 64 * 1024 / step

    func leastMemoryOfHello() throws(NotMeasured) -> Figure {
        let image = try hello.get()
        let reference = try output(of: image, memory: Self.mostSteps * Self.step)
        guard let reference else {
            throw NotMeasured("it does not end within 5 s, with 64 MiB")
        }
        return try least("the whole output and the end") { (memory) throws(NotMeasured) in
            try output(of: image, memory: memory) == reference
        }
    }

    func leastMemoryOfServer() throws(NotMeasured) -> Figure {
        let image = try server.get()
        let network = try network.get()
        func answers(_ memory: Int) throws(NotMeasured) -> Bool {
            var configuration = image.configuration(on: network)
            configuration.memory = memory
            let console = work.appending(path: "console-memory")
            let machine = try VirtualMachine(configuration, consoleFile: console)
            defer { machine.stop() }
            try network.setNeighbour()
            let load = HTTPLoad(network: network, processor: nil)
            return (try? load.waitForAnswer(of: machine, limit: .seconds(2))) != nil
        }
        guard try answers(Self.mostSteps * Self.step) else {
            throw NotMeasured("no answer on port 80 with 64 MiB")
        }
        return try least("one request answered", answers)
    }

    private func least(
        _ what: String, _ works: (_ memory: Int) throws(NotMeasured) -> Bool
    ) throws(NotMeasured) -> Figure {
        var failing = 0
        var working = Self.mostSteps
        while working - failing > 1 {
            let middle = (failing + working) / 2
            if try works(middle * Self.step) { working = middle } else { failing = middle }
        }
        return Figure(
            value: Double(working * Self.step), detail: "\(what); step \(Self.step) KiB")
    }

    /// The console without digits (which may be times), or nil if the machine did not end itself.
    private func output(of image: SwiftletImage, memory: Int) throws(NotMeasured) -> [UInt8]? {
        var configuration = image.configuration()
        configuration.memory = memory
        let machine = try VirtualMachine(configuration)
        defer { machine.stop() }
        let limit: Duration = memory == Self.mostSteps * Self.step ? .seconds(5) : .seconds(1)
        guard machine.readConsole(limit: limit) else { return nil }
        return machine.console.filter { !(48...57).contains($0) }
    }
}
