// dnsmasq in a test's network: a router that advertises, a server of DHCPv6, and one of names.

import Glibc
import SwiftletBuild
import SystemPackage

/// Advertises `NetworkIPv6.prefix` with nothing but the word that servers of DHCPv6 know more (O), tells
/// by stateless DHCPv6 of itself as the name server, and answers for `host.test`.
final class Dnsmasq: Sendable {
    static let isInstalled = Requirement.has("dnsmasq")

    private let process: pid_t
    private let folder: FilePath

    /// Starts it on Linux's interface of `addresses`.
    init(_ network: NetworkNamespace, _ addresses: NetworkIPv6) throws {
        folder = try FileSystem.makeTemporaryFolder()
        let command =
            network.enter + [
                "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                "--no-hosts", "--user=root", "--pid-file=", "--leasefile-ro", "--bind-dynamic",
                "--interface=\(addresses.interface)", "--enable-ra", "--log-dhcp",
                "--log-facility=\(folder.appending("log"))",
                "--dhcp-range=\(NetworkIPv6.prefix),ra-stateless",
                // None in advertisements; the tag is set for whoever asks by DHCPv6.
                "--dhcp-option=option6:dns-server",
                "--dhcp-option=tag:dhcpv6,option6:dns-server,[\(NetworkIPv6.hostAddress)]",
                "--address=/host.test/\(NetworkIPv6.hostAddress)",
            ]
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        // A group of its own: for each connection there is a process more.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        let code = posix_spawnp(&process, command[0], nil, &attributes, words, environ)
        guard code == 0 else { throw MachineFailure(description: "dnsmasq: error \(code)") }
        self.process = process
    }

    /// What it has done so far.
    var log: String {
        (try? FileSystem.read(folder.appending("log"))).map { String(decoding: $0, as: UTF8.self) }
            ?? ""
    }

    func stop() {
        kill(-process, SIGKILL)
        waitpid(process, nil, 0)
        FileSystem.remove(folder)
    }
}
