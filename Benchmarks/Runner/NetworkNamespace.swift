// A network namespace of the run's own: one tap for the machine, the clients beside it. Nothing
// of the host's network is touched.

import Foundation

final class NetworkNamespace: Sendable {
    static let hostAddress = "10.77.0.1"
    static let guestAddress = "10.77.0.2"
    static let guestMAC = "52:54:00:12:34:56"
    static let tap = "tap0"
    private static let prefix = "swiftlet-bench-"

    let name: String

    /// Starts a program inside.
    var enter: [String] { ["ip", "netns", "exec", name] }

    init() throws(NotMeasured) {
        guard geteuid() == 0 else { throw NotMeasured("a network namespace needs root") }
        Self.removeLeftovers()
        name = "\(Self.prefix)\(getpid())"
        try Command.run(["ip", "netns", "add", name])
        let name = name
        _ = Cleanup.add { _ = try? Command.result(["ip", "netns", "del", name]) }
        for arguments in [
            ["tuntap", "add", Self.tap, "mode", "tap"],
            ["addr", "add", "\(Self.hostAddress)/24", "dev", Self.tap],
            ["link", "set", Self.tap, "up"], ["link", "set", "lo", "up"],
        ] { try Command.run(enter + ["ip"] + arguments) }
    }

    /// Linux asks for an address again only after a second: a first request would measure that.
    func setNeighbour() throws(NotMeasured) {
        try Command.run(
            enter + [
                "ip", "neigh", "replace", Self.guestAddress, "lladdr", Self.guestMAC, "dev",
                Self.tap,
            ])
    }

    /// Namespaces of runs that were killed.
    private static func removeLeftovers() {
        let list = (try? Command.run(["ip", "netns", "list"])) ?? ""
        for line in list.split(separator: "\n") {
            guard let name = line.split(separator: " ").first, name.hasPrefix(prefix),
                let process = Int32(name.dropFirst(prefix.count)), kill(process, 0) != 0
            else { continue }
            _ = try? Command.result(["ip", "netns", "del", String(name)])
        }
    }
}
