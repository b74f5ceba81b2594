// The kinds of machine that guests are tested on: QEMU's, and the built-in monitor where it can run.

import Glibc
import SwiftletHypervisors
import Testing

/// Where a guest runs: in ring 0 of QEMU's machines, or in ring 3 of the built-in monitor's.
enum MachineKind: String, CaseIterable, Sendable {
    case microvm, pc, q35, builtIn

    static let qemu: [MachineKind] = [.microvm, .pc, .q35]

    /// Whether the built-in monitor can run: KVM opens.
    static let hasBuiltIn: Bool = {
        let file = open("/dev/kvm", O_RDWR | O_CLOEXEC)
        close(file)
        return file >= 0
    }()
    /// Why a test was skipped.
    static let comment: Comment = "needs /dev/kvm to open"

    static let available = hasBuiltIn ? allCases : qemu

    /// One kind of each environment: ring 0 under QEMU, ring 3 in the built-in monitor. For what does
    /// not depend on buses and firmware.
    static let environments: [MachineKind] = hasBuiltIn ? [.microvm, .builtIn] : [.microvm]

    /// What QEMU calls it.
    var machine: MachineType { MachineType(rawValue: rawValue) ?? .microvm }

    /// As after `--monitor`.
    var monitorName: String { self == .builtIn ? "builtin" : "qemu" }

    /// What runs it, with the card on the tap of `network` if there is one.
    func monitor(on network: NetworkNamespace?) async throws -> any Monitor {
        guard self == .builtIn else { return network?.monitor() ?? QEMU() }
        var monitor = try await BuiltIn.find()
        guard let network else { return monitor }
        let enter = network.enter
        let tap = [
            "--tap", NetworkNamespace.guestTap, "--hardware-address",
            NetworkNamespace.text(NetworkNamespace.guestMAC),
        ]
        monitor.amend = { command in
            enter + command.flatMap { $0 == "--user-network" ? tap : [$0] }
        }
        return monitor
    }
}
