// passt (https://passt.top): a process beside this one that turns a guest's frames into sockets of
// the host's, and the host's ports into connections to the guest. It needs no root.

import CSwiftletKVM
import Glibc

/// A port of the host that leads to one of the guest.
struct PublishedPort: Equatable {
    enum Transport: String { case tcp, udp }

    var transport: Transport
    var address: String
    var host: UInt16
    var guest: UInt16

    /// Reads `tcp:ADDRESS:HOST:GUEST`; nil if it is nothing of the kind.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        var parsed = in_addr()
        guard parts.count == 4, let transport = Transport(rawValue: parts[0]),
            inet_pton(AF_INET, parts[1], &parsed) == 1, let host = UInt16(parts[2]), host > 0,
            let guest = UInt16(parts[3]), guest > 0
        else { return nil }
        self.transport = transport
        address = parts[1]
        self.host = host
        self.guest = guest
    }
}

/// Starts passt.
enum Passt {
    /// The descriptor that passt finds its end of the socket at.
    private static let socketFile: Int32 = 3

    /// Its arguments: the guest's network is the one that QEMU's user-mode network has, so that a
    /// guest is told the same under each.
    static func arguments(_ ports: [PublishedPort]) -> [String] {
        var arguments = [
            "passt", "--foreground", "--quiet", "--fd", "\(socketFile)", "--ipv4-only",
            "--address", "10.0.2.15", "--netmask", "24", "--gateway", "10.0.2.2",
            "--mac-addr", "52:55:0a:00:02:02", "--no-icmp",
        ]
        for port in ports {
            arguments += [
                port.transport == .tcp ? "--tcp-ports" : "--udp-ports",
                "\(port.address)/\(port.host):\(port.guest)",
            ]
        }
        return arguments
    }

    /// The guest's address, as passt and the guest's command line have it.
    private static let guestAddress: [UInt8] = [10, 0, 2, 15]

    /// Starts passt and gives our end of the socket. It ends when this process does.
    ///
    /// - Parameter hardwareAddress: the guest's card's, six octets.
    static func start(
        _ ports: [PublishedPort], hardwareAddress: [UInt8]
    ) throws(MonitorError) -> StreamLink {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw .system("cannot make a socket pair for passt")
        }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        // A copy onto itself would keep its close-on-exec flag: two steps.
        posix_spawn_file_actions_adddup2(&actions, ends[1], 63)
        posix_spawn_file_actions_adddup2(&actions, 63, socketFile)
        posix_spawn_file_actions_addclose(&actions, 63)
        // It says on standard error that there is no system logger, a line for each line.
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        var arguments: [UnsafeMutablePointer<CChar>?] = arguments(ports).map { strdup($0) }
        arguments.append(nil)
        var process: pid_t = 0
        let error = posix_spawnp(&process, "passt", &actions, nil, arguments, environ)
        close(ends[1])
        guard error == 0 else {
            errno = error
            throw .system("cannot start passt (on Debian and Ubuntu: apt-get install passt)")
        }
        // passt sends to all stations until it has seen the guest, whose TCP does not listen there,
        // and never sends a SYN again: it is told the address before the first connection.
        let announcement = announcement(hardwareAddress)
        guard write(ends[0], announcement, announcement.count) == announcement.count else {
            throw .system("cannot write to passt")
        }
        return StreamLink(ends[0])
    }

    /// An ARP announcement of the guest (RFC 5227 §2.3), behind its length.
    static func announcement(_ hardwareAddress: [UInt8]) -> [UInt8] {
        let frame: [UInt8] =
            .init(repeating: 0xFF, count: 6) + hardwareAddress
            + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + hardwareAddress + guestAddress
            + .init(repeating: 0, count: 6) + guestAddress
        return [0, 0, 0, UInt8(frame.count)] + frame
    }
}
