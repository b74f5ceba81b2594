// The chart in docs/: the newest results as bars, as plain SVG.

import Foundation

/// Panels of horizontal bars, one above the other.
struct Chart {
    struct Bar {
        let name: String
        let value: Double
        let isOwn: Bool
    }

    struct Panel {
        let title: String
        let unit: String
        let bars: [Bar]
    }

    private(set) var panels: [Panel] = []
    private let caption: String

    init(_ report: Report) {
        caption = "Measured \(report.date.prefix(10)) by make bench; longer is better"
        for connections in Bench.connectionCounts {
            let results = report.servers.filter { $0.connections == connections }
            add(
                "Small requests in a VM, \(Self.count(connections))", "requests/s",
                results.map { ($0.server, $0.requestsPerSecond) })
        }
        for connections in Bench.connectionCounts {
            let results = report.native.filter { $0.connections == connections }
            add(
                "Small requests at full speed, \(Self.count(connections))", "requests/s",
                results.map { ($0.server, $0.requestsPerSecond) })
        }
        let inMachines = report.transfers.prefix(2)
        let native = report.transfers.dropFirst(2)
        add("Received in a VM", "MB/s", inMachines.map { ($0.server, $0.received) })
        add("Sent in a VM", "MB/s", inMachines.map { ($0.server, $0.sent) })
        add("Received at full speed", "MB/s", native.map { ($0.server, $0.received) })
        add("Sent at full speed", "MB/s", native.map { ($0.server, $0.sent) })
        let connections = report.connections
        add(
            "New connections in a VM", "connections/s",
            connections.prefix(3).map { ($0.server, $0.perSecond) })
        add(
            "New connections at full speed", "connections/s",
            connections.dropFirst(3).map { ($0.server, $0.perSecond) })
    }

    private static func count(_ connections: Int) -> String {
        connections == 1 ? "1 connection" : "\(connections) connections"
    }

    private mutating func add(_ title: String, _ unit: String, _ values: [(String, Double?)]) {
        let bars = values.compactMap { name, value in
            value.map { Bar(name: name, value: $0, isOwn: name.hasPrefix(Bench.swiftletName)) }
        }
        if !bars.isEmpty { panels.append(Panel(title: title, unit: unit, bars: bars)) }
    }

    /// The picture. Widths and heights are pixels.
    var svg: String {
        let (width, names, scale) = (760, 230, 400.0)
        let (line, gap) = (22, 18)
        var y = 10
        var body: [String] = []
        func text(_ x: Int, _ y: Int, _ words: String, _ style: String = "") {
            let escaped = words.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
            body.append("<text x=\"\(x)\" y=\"\(y)\"\(style)>\(escaped)</text>")
        }
        for panel in panels {
            text(10, y + 15, "\(panel.title) (\(panel.unit))", " font-weight=\"bold\"")
            y += line
            let most = panel.bars.map(\.value).max() ?? 1
            for bar in panel.bars {
                let length = max(1, Int(bar.value / most * scale))
                let color = bar.isOwn ? "#f05138" : "#8a94a6"
                text(names - 8, y + 15, bar.name, " text-anchor=\"end\"")
                body.append(
                    "<rect x=\"\(names)\" y=\"\(y + 3)\" width=\"\(length)\" height=\"\(line - 6)\" "
                        + "fill=\"\(color)\"/>")
                text(names + length + 6, y + 15, Report.number(bar.value))
                y += line
            }
            y += gap
        }
        text(10, y + 10, caption, " fill=\"#666\"")
        y += 26
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(y)" \
            viewBox="0 0 \(width) \(y)" font-family="sans-serif" font-size="13">
            <rect width="\(width)" height="\(y)" fill="#fff"/>
            \(body.joined(separator: "\n"))
            </svg>

            """
    }

    /// Reads the results, and writes `docs/benchmarks.svg`.
    static func write(root: URL) throws {
        let results = root.appending(path: "Benchmarks/results/latest.json")
        let report = try JSONDecoder().decode(Report.self, from: Data(contentsOf: results))
        try Data(Chart(report).svg.utf8).write(to: root.appending(path: "docs/benchmarks.svg"))
    }
}
