// The results: JSON for machines, a table for people.

import Foundation

struct Report: Codable {
    struct Row: Codable {
        let what: String
        let unit: String
        let budget: Double
        let measured: Double?
        let met: Bool?
        /// How the figure came about, or why there is none.
        let detail: String
    }

    let date: String
    let quick: Bool
    let machine: [String: String]
    var rows: [Row] = []
    var servers: [ServerResult] = []
    var native: [NativeResult] = []
    var transfers: [TransferResult] = []
    var connections: [ConnectionResult] = []
    var startParts: [StartPart] = []

    mutating func add(
        _ what: String, unit: String, budget: Double,
        _ figure: () throws(NotMeasured) -> Bench.Figure
    ) {
        switch Bench.attempt(figure) {
        case .success(let figure):
            rows.append(
                Row(
                    what: what, unit: unit, budget: budget, measured: figure.value,
                    met: figure.value <= budget, detail: figure.detail))
        case .failure(let reason):
            rows.append(
                Row(
                    what: what, unit: unit, budget: budget, measured: nil, met: nil,
                    detail: "not measured: \(reason)"))
        }
    }

    var text: String {
        var lines = ["Swiftlet benchmarks, \(date)\(quick ? " (quick)" : "")"]
        lines += machine.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)" }
        lines += ["", "Budgets"]
        lines += Self.table(
            [["what", "budget", "measured", "unit", "met", ""]]
                + rows.map { row in
                    [
                        row.what, Self.number(row.budget), row.measured.map(Self.number) ?? "–",
                        row.unit, row.met.map { $0 ? "yes" : "NO" } ?? "–", row.detail,
                    ]
                })
        lines += [
            "", "Servers: GET of a small body, keep-alive, one vCPU, TCG, virtio-net on a tap",
        ]
        lines += Self.table(
            [
                [
                    "server", "conn.", "requests/s", "Swiftlet is", "instr./request", "Swiftlet is",
                    "1st answer", "",
                ]
            ]
                + servers.map(serverRow))
        lines += [
            "", "At the processor's own speed: the image under KVM on a tap, processes on loopback",
        ]
        lines += Self.table(
            [["server", "conn.", "requests/s", "Swiftlet is", "exits/request", ""]]
                + native.map { result in
                    [
                        result.server, "\(result.connections)",
                        result.requestsPerSecond.map(Self.number) ?? "–",
                        result.ratio.map { String(format: "%.2f ×", $0) } ?? "",
                        result.exitsPerRequest.map { String(format: "%.2f", $0) } ?? "",
                        result.notMeasured.map { "not measured: \($0)" } ?? "",
                    ]
                })
        lines += [
            "", "Bulk transfers over one connection: in machines under TCG, then at full speed",
        ]
        lines += Self.table(
            [
                [
                    "server", "received MB/s", "Swiftlet is", "sent MB/s", "Swiftlet is",
                    "instr./MB received", "sent", "",
                ]
            ]
                + transfers.map(transferRow))
        lines += [
            "",
            "Connections: a request on each, in machines under TCG, then at full speed; idle ones",
        ]
        lines += Self.table(
            [["server", "conn./s", "Swiftlet is", "idle", "octets each", ""]]
                + connections.map { result in
                    [
                        result.server, result.perSecond.map(Self.number) ?? "–",
                        result.ratio.map { String(format: "%.2f ×", $0) } ?? "",
                        result.idle.map { Self.number(Double($0)) } ?? "",
                        result.octetsPerIdle.map(Self.number) ?? "",
                        (result.errors + (result.notMeasured.map { ["not measured: \($0)"] } ?? []))
                            .joined(separator: "; "),
                    ]
                })
        lines += [
            "", "A start in the built-in monitor, on a published port: milliseconds, medians",
        ]
        lines += Self.table(
            [["part", "ms", ""]]
                + startParts.map { part in
                    [
                        part.what, part.milliseconds.map { String(format: "%.2f", $0) } ?? "",
                        part.notMeasured.map { "not measured: \($0)" } ?? "",
                    ]
                })
        return lines.joined(separator: "\n") + "\n"
    }

    private func transferRow(_ result: TransferResult) -> [String] {
        func number(_ value: Double?) -> String { value.map(Self.number) ?? "–" }
        func ratio(_ value: Double?) -> String {
            value.map { String(format: "%.2f ×", $0) } ?? ""
        }
        return [
            result.server, number(result.received), ratio(result.receivedRatio),
            number(result.sent), ratio(result.sentRatio),
            result.instructionsReceived.map(Self.number) ?? "",
            result.instructionsSent.map(Self.number) ?? "",
            result.notMeasured.map { "not measured: \($0)" } ?? "",
        ]
    }

    private func serverRow(_ result: ServerResult) -> [String] {
        func ratio(_ value: Double?) -> String {
            value.map { String(format: "%.2f ×", $0) } ?? ""
        }
        var notes = result.errors
        if let size = result.bodySize { notes.insert("\(size)-octet body", at: 0) }
        if let reason = result.notMeasured { notes.append("not measured: \(reason)") }
        return [
            result.server, "\(result.connections)",
            result.requestsPerSecond.map(Self.number) ?? "–",
            ratio(result.requestsRatio),
            result.instructionsPerRequest.map(Self.number) ?? "–",
            ratio(result.instructionsRatio),
            result.firstAnswer.map { String(format: "%.0f ms", $0) } ?? "–",
            notes.joined(separator: "; "),
        ]
    }

    /// Thousands grouped by a space; one decimal where it says something.
    static func number(_ value: Double) -> String {
        if abs(value) < 100, value != value.rounded() { return String(format: "%.1f", value) }
        let digits = String(Int(value.rounded()).magnitude)
        var grouped = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { grouped += " " }
            grouped.append(digit)
        }
        return value < 0 ? "-" + grouped : grouped
    }

    private static func table(_ rows: [[String]]) -> [String] {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            return "  " + cells.joined(separator: "  ").trimmingCharacters(in: .whitespaces)
        }
    }

    /// Writes `latest.json` and `latest.txt`.
    func write(to folder: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try (encoder.encode(self) + [10]).write(to: folder.appending(path: "latest.json"))
        try Data(text.utf8).write(to: folder.appending(path: "latest.txt"))
    }
}
