// What confines an instance: what the kernel says of the process that runs its machine, and, set
// apart from that, what this process said of itself before its guest ran.

import SwiftletBootProtocol
import SwiftletBuild
import SwiftletInstances

/// A description of an instance that runs, for people and as JSON.
struct InstanceInspection: Encodable {
    var name: String
    var image: String
    var monitor: String
    /// The monitor's process.
    var process: Int32
    /// The guest's privilege level in the virtual machine.
    var guestRing: Int
    var kernel: ProcessConfinement
    /// Processes that the monitor's has started, as the one of its network.
    var companions: [Companion]
    /// In the monitor's own words, by key; empty if it says nothing, as QEMU does not.
    var said: [String: String]

    struct Companion: Encodable {
        var name: String
        var process: Int32
        var kernel: ProcessConfinement
    }

    init(_ instance: Instance) throws(ToolError) {
        guard let process = instance.state.machine, instance.machineProcess != nil,
            let kernel = ProcessConfinement(process)
        else {
            throw ToolError(
                "instance '\(instance.name)' has no machine that runs: nothing confines it",
                hint: "swiftlet restart \(instance.name) starts it.")
        }
        name = instance.name
        image = instance.configuration.image
        monitor = instance.configuration.monitor
        self.process = process
        guestRing = monitor == "builtin" ? 3 : 0
        self.kernel = kernel
        companions = ProcessConfinement.children(of: process).compactMap { child in
            ProcessConfinement(child.process).map {
                Companion(name: child.name, process: child.process, kernel: $0)
            }
        }
        said = instance.statistics?.words ?? [:]
    }

    var text: String {
        var rows: [(String, String)] = [
            ("instance", name), ("image", image),
            ("monitor", "\(monitor), process \(process)"),
            ("guest", "ring \(guestRing)"),
            ("", ""), ("The kernel says of the process:", ""),
        ]
        rows += Self.rows(kernel)
        for (index, descriptor) in kernel.descriptors.enumerated() {
            let key = index == 0 ? "descriptors" : ""
            rows.append((key, "\(descriptor.number) \(descriptor.target)"))
        }
        rows += [("", ""), ("It said of itself, before its guest ran:", "")]
        for key in ["landlock", "calls"] { rows.append((key, said[key] ?? "-")) }
        for companion in companions {
            rows += [
                ("", ""),
                ("And of \(companion.name), process \(companion.process), beside it:", ""),
            ]
            rows += Self.rows(companion.kernel)
        }
        return rows.map { key, value in
            value.isEmpty
                ? key : key + String(repeating: " ", count: max(1, 16 - key.count)) + value
        }.joined(separator: "\n")
    }

    private static func rows(_ kernel: ProcessConfinement) -> [(String, String)] {
        [
            ("user", kernel.users.first.map { $0 == 0 ? "0 (root)" : "\($0)" } ?? "-"),
            (
                "capabilities",
                kernel.capabilities == 0 ? "none" : "0x" + String(kernel.capabilities, radix: 16)
            ),
            (
                "seccomp",
                kernel.seccomp == "filter"
                    ? "filter, \(kernel.seccompFilters) installed"
                    : kernel.seccomp + ": any system call"
            ),
            ("new privileges", kernel.noNewPrivileges ? "never" : "by exec"),
            (
                "namespaces",
                kernel.ownNamespaces.isEmpty
                    ? "this user's" : "of its own: " + kernel.ownNamespaces.joined(separator: ", ")
            ),
            ("limits", kernel.limits.map { "\($0.name) \($0.value)" }.joined(separator: ", ")),
        ]
    }
}
