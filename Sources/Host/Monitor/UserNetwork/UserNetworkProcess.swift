// The user network as a process: forked from the monitor before there is a guest, confined, gone with
// the monitor.

import CSwiftletKVM
import Glibc

/// Starts the user network.
enum UserNetworkProcess {
    private static let name = "swiftlet-net"

    /// Takes the published ports, starts the process, and gives the monitor's end of the link. To be
    /// called before there is memory of a guest's.
    ///
    /// - Parameter hardwareAddress: the guest's card's, six octets.
    static func start(
        _ ports: [PublishedPort], hardwareAddress: [UInt8]
    ) throws(MonitorError) -> StreamLink {
        var sockets: [(port: PublishedPort, file: Int32)] = []
        for port in ports { sockets.append((port, try port.open())) }
        var ends: [Int32] = [-1, -1]
        let type =
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            | Int32(SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw .system("cannot make a socket pair for the network")
        }
        let monitor = getpid()
        let process = swiftlet_fork()
        guard process >= 0 else { throw .system("cannot start the network's process") }
        if process == 0 {
            close(ends[0])
            run(ends[1], hardwareAddress, sockets, monitor: monitor)
        }
        close(ends[1])
        for socket in sockets { close(socket.file) }
        return StreamLink(ends[0])
    }

    /// What the process does, to its end.
    private static func run(
        _ link: Int32, _ hardwareAddress: [UInt8],
        _ sockets: [(port: PublishedPort, file: Int32)], monitor: pid_t
    ) -> Never {
        swiftlet_die_with_parent()
        // It may have gone before.
        if getppid() != monitor { _exit(0) }
        rename()
        // No file opens later.
        let nameServer = HostResolver.find()
        // Its output is not the guest's: who reads that sees the end when the machine ends.
        let null = open("/dev/null", O_RDWR)
        let standard = [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
        for file in standard { dup2(null, file) }
        guard (try? Confinement.closeAll(except: standard + [link] + sockets.map(\.file))) != nil
        else { _exit(MonitorExitCode.failed) }
        signal(SIGPIPE, SIG_IGN)
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let network = UserNetwork(
            link: FrameStream(link), hardwareAddress: hardwareAddress, ports: sockets,
            nameServer: nameServer, hasIPv6: SocketAddress.hasIPv6(),
            descriptors: Int(min(limit.rlim_cur, 1 << 20)))
        guard swiftlet_drop_capabilities() == 0, swiftlet_filter_network_calls() == 0 else {
            _exit(MonitorExitCode.failed)
        }
        while network.turn() {}
        _exit(0)
    }

    /// In `ps` this is not another monitor.
    private static func rename() {
        swiftlet_set_process_name(name)
        guard CommandLine.argc > 0, let first = CommandLine.unsafeArgv[0],
            let last = CommandLine.unsafeArgv[Int(CommandLine.argc) - 1]
        else { return }
        // The arguments lie one behind the other (proc_pid_cmdline(5)).
        let size = last - first + strlen(last)
        memset(first, 0, size)
        _ = name.withCString { strncpy(first, $0, min(size, name.utf8.count)) }
    }
}
