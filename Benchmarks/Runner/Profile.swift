// Where the instructions go: the counts of each address under the names of functions and files.

import Foundation

/// Executions by instruction address, over a number of things done (1 start, 10 000 requests).
struct Profile {
    let title: String
    let executions: [UInt64: UInt64]
    let divisor: Double

    private struct Frame: Hashable {
        let function: String
        let file: String
        let line: Int
    }

    /// Tables by source file, by function as written (inlined ones apart), and by the compiled
    /// function that holds them. `symbols`: an ELF file with debugging information.
    func text(symbols: URL, work: URL) throws(NotMeasured) -> String {
        let addresses = executions.keys.sorted()
        let frames = try Self.frames(of: addresses, symbols: symbols, work: work)
        var files: [String: Double] = [:]
        var written: [String: Double] = [:]
        var compiled: [String: Double] = [:]
        for (address, stack) in zip(addresses, frames) {
            let count = Double(executions[address] ?? 0) / divisor
            guard let inner = stack.first, let outer = stack.last else { continue }
            // What the compiler made belongs to the nearest function that was written.
            let source = stack.first { $0.file.contains(".") && $0.line > 0 } ?? inner
            files[source.file, default: 0] += count
            written["\(inner.function)  \(inner.file)", default: 0] += count
            compiled[outer.function, default: 0] += count
        }
        let total = Double(executions.values.reduce(0, +)) / divisor
        var lines = [title, String(format: "%10.1f  in all", total)]
        for (heading, table) in [
            ("by source file", files), ("by function as written", written),
            ("by compiled function", compiled),
        ] {
            lines += ["", heading]
            for (name, count) in table.sorted(by: { $0.value > $1.value }).prefix(40)
            where count >= total / 1000 {
                lines.append(
                    String(format: "%10.1f  %4.1f %%  ", count, 100 * count / total) + name)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// For each address its functions, the innermost first.
    private static func frames(of addresses: [UInt64], symbols: URL, work: URL)
        throws(NotMeasured) -> [[Frame]]
    {
        let list = work.appending(path: "addresses")
        let text = addresses.map { "0x" + String($0, radix: 16) }.joined(separator: "\n")
        do { try Data(text.utf8).write(to: list) } catch { throw NotMeasured("\(error)") }
        let output = try Command.run([
            "sh", "-c",
            "llvm-symbolizer --obj='\(symbols.path)' --inlining --functions --basenames "
                + "<'\(list.path)' | swift demangle --simplified",
        ])
        // Pairs of lines, function and file:line:column, and an empty line after each address.
        var stacks: [[Frame]] = []
        var stack: [Frame] = []
        var function: String?
        for line in output.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty {
                if !stack.isEmpty { stacks.append(stack) }
                stack = []
                function = nil
            } else if let name = function {
                let parts = line.split(separator: ":")
                let file = parts.first?.split(separator: "/").last.map(String.init) ?? "?"
                let number = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
                stack.append(Frame(function: name, file: file, line: number))
                function = nil
            } else {
                function = String(line)
            }
        }
        guard stacks.count == addresses.count else {
            throw NotMeasured("llvm-symbolizer named \(stacks.count) of \(addresses.count)")
        }
        return stacks
    }
}

extension Bench {
    /// Profiles of one start of hello, and of a request at each number of connections.
    func profiles(progress: (String) -> Void) -> String {
        let start = Self.attempt { () throws(NotMeasured) in
            progress("profile: start of hello")
            return try profileOfStart().text(symbols: try hello.get().symbols, work: work)
        }
        let requests = Self.connectionCounts.map { connections in
            Self.attempt { () throws(NotMeasured) in
                progress("profile: a request, \(connections) connections")
                return try profileOfRequest(connections: connections)
                    .text(symbols: try server.get().symbols, work: work)
            }
        }
        return ([start] + requests).map { result in
            switch result {
            case .success(let text): text
            case .failure(let reason): "no profile: \(reason)\n"
            }
        }.joined(separator: "\n")
    }

    private func profileOfStart() throws(NotMeasured) -> Profile {
        let image = try hello.get()
        var configuration = image.configuration()
        let counting = MachineConfiguration.Counting(
            plugin: try plugin.get(), file: work.appending(path: "profile.counts"),
            profiling: true)
        configuration.counting = counting
        let machine = try VirtualMachine(configuration)
        _ = machine.readConsole(limit: .seconds(5))
        machine.stop()
        let counts = try InstructionCounts(readingFrom: counting.file)
        // The firmware lies outside the image; boot code runs at its physical address first.
        var executions: [UInt64: UInt64] = [:]
        for (address, count) in counts.profile {
            let isLinked = image.addresses.contains(address)
            let linked = isLinked ? address : address &+ image.distance
            if image.addresses.contains(linked) { executions[linked, default: 0] += count }
        }
        return Profile(
            title: "Instructions of one whole run of hello, to the power-off",
            executions: executions, divisor: 1)
    }

    private func profileOfRequest(connections: Int) throws(NotMeasured) -> Profile {
        let file = work.appending(path: "profile.counts")
        let counting = MachineConfiguration.Counting(
            plugin: try plugin.get(), file: file, profiling: true)
        return try withServer(server.get().configuration(on: network.get()), counting: counting) {
            (load, _) throws(NotMeasured) in
            _ = try load.run(connections: connections, seconds: 1)
            let before = try InstructionCounts(readingFrom: file)
            let run = try load.run(connections: connections, seconds: quick ? 2 : 4)
            let after = try InstructionCounts(readingFrom: file)
            let spent = after.profile.merging(before.profile) { $0 &- $1 }.filter { $0.value > 0 }
            return Profile(
                title: "Instructions of a request, \(connections) connections, setup included",
                executions: spent, divisor: Double(run.requests))
        }
    }
}
