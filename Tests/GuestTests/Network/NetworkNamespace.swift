// A network of a test's own: a namespace without a name, which is gone when its last descriptor is.

import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SwiftletTestSupport
import SystemPackage
import Testing

/// A network namespace in which this process, QEMU and clients can meet. Nothing of the host's
/// network is touched, and nothing stays behind, however the test ends.
final class NetworkNamespace: Sendable {
    static let hostAddress = "10.77.0.1"
    static let guestAddress = "10.77.0.2"
    static let hostMAC: UInt64 = 0x0200_0077_0001
    static let guestMAC: UInt64 = 0x5254_0077_0002
    /// The tap that the monitor attaches the guest to.
    static let guestTap = "guest0"
    /// The guest's end of a link that is the test's: behind a bridge, on a tap that offers nothing. So
    /// Linux cuts segments and computes checksums that the guest's card leaves to it, before the test
    /// sees the frames.
    static let linkTap = "link0"
    /// Linux's own tap, where the link between the two is the test's.
    static let hostTap = "host0"

    static let isPossible = geteuid() == 0
    /// Why a test was skipped.
    static let comment: Comment = "needs root, for a network namespace of its own"

    /// How the guest's tap and Linux are joined.
    enum Link {
        /// Linux has its address on the guest's tap.
        case direct
        /// Linux has its address on a tap of its own; what joins the two is up to the test.
        case open
    }

    /// CLONE_NEWNET of <sched.h>.
    private static let newNetwork: Int32 = 0x4000_0000
    /// The namespace, as the kernel hands it out.
    private let descriptor: Int32
    let link: Link

    init(_ link: Link) async throws {
        self.link = link
        descriptor = try Self.onThread {
            guard Self.call("unshare", Self.newNetwork) == 0 else { throw Self.failure("unshare") }
            return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        }
        guard descriptor >= 0 else { throw Self.failure("the namespace's descriptor") }
        try inside {
            // Linux is not to send what no test asked for.
            for scope in ["all", "default"] {
                let file = open("/proc/sys/net/ipv6/conf/\(scope)/disable_ipv6", O_WRONLY)
                if file >= 0 { _ = write(file, "1", 1) }
                close(file)
            }
        }
        let host = link == .direct ? Self.guestTap : Self.hostTap
        var lines = ["link set lo up", "tuntap add \(Self.guestTap) mode tap"]
        if link == .open {
            lines += ["tuntap add \(host) mode tap", "link add bridge0 type bridge"]
            for tap in [Self.guestTap, Self.linkTap] {
                if tap != Self.guestTap { lines.append("tuntap add \(tap) mode tap") }
                lines += ["link set \(tap) master bridge0", "link set \(tap) up"]
            }
            lines.append("link set bridge0 up")
        }
        lines += [
            "link set \(host) address \(Self.text(Self.hostMAC))",
            "addr add \(Self.hostAddress)/24 dev \(host)", "link set \(host) up",
        ]
        try await run(["ip", "-batch", "-"], input: lines.joined(separator: "\n") + "\n")
    }

    deinit { close(descriptor) }

    /// In front of a command that is to run inside.
    var enter: [String] { ["nsenter", "--net=/proc/\(getpid())/fd/\(descriptor)"] }

    /// Runs a program inside; it has to succeed.
    @discardableResult
    func run(_ command: [String], input: String = "") async throws -> ProcessOutcome {
        let whole = enter + command
        let end = try await ProcessRunner.collect(whole[0], Array(whole.dropFirst()), input: input)
        guard end.succeeded else {
            throw MachineFailure(
                description: "\(command.joined(separator: " ")): \(end.exitCode)\n"
                    + end.output + end.errorOutput)
        }
        return end
    }

    /// Runs `body` on a thread inside the namespace: sockets that it opens belong there.
    func inside<R: Sendable>(_ body: @escaping @Sendable () throws -> R) throws -> R {
        try Self.onThread { [descriptor] in
            guard Self.call("setns", descriptor, Self.newNetwork) == 0 else {
                throw Self.failure("setns")
            }
            return try body()
        }
    }

    /// QEMU, with the guest's card on the tap inside. Without `offload` every frame carries its own
    /// checksums, so that they can be checked, and broken, on the way.
    func monitor(offload: Bool = true) -> QEMU {
        var qemu = QEMU()
        let enter = enter
        let backend =
            "tap,id=net,ifname=\(Self.guestTap),script=no,downscript=no"
            + (offload ? "" : ",vnet_hdr=off")
        let address = Self.text(Self.guestMAC)
        qemu.amend = { command in
            enter
                + command.map { argument in
                    if argument.hasPrefix("user,id=net") { return backend }
                    if argument.hasSuffix(",netdev=net") { return argument + ",mac=" + address }
                    return argument
                }
        }
        return qemu
    }

    /// Frames that went to the guest, and those that its tap had no room for, since the start.
    func framesToGuest() throws -> (carried: Int, dropped: Int) {
        let text = try inside { try FileSystem.read("/proc/thread-self/net/dev") }
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n")
            .first { $0.contains(Self.guestTap + ":") }
        // Eight numbers of what was received; then octets, frames, errors, drops of what was sent.
        let numbers = (line ?? "").split { $0 == ":" || $0 == " " }.dropFirst().compactMap {
            Int($0)
        }
        guard numbers.count >= 12 else { throw MachineFailure(description: "no counts of frames") }
        return (numbers[9], numbers[11])
    }

    /// As Linux and QEMU write hardware addresses.
    static func text(_ address: UInt64) -> String {
        be48(address).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }

    /// A function of libc that Swift's module of it leaves out.
    private static func call(_ name: String, _ first: Int32, _ second: Int32 = 0) -> Int32 {
        typealias Function = @convention(c) (Int32, Int32) -> Int32
        guard let address = dlsym(nil, name) else { return -1 }
        return unsafeBitCast(address, to: Function.self)(first, second)
    }

    static func failure(_ what: String) -> MachineFailure {
        MachineFailure(description: "\(what): \(String(cString: strerror(errno)))")
    }

    /// Runs `body` on a thread of its own and waits for it.
    private static func onThread<R: Sendable>(
        _ body: @escaping @Sendable () throws -> R
    ) throws -> R {
        try Worker(body).result()
    }
}
