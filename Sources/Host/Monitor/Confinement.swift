// What the monitor gives up before the guest's first instruction: whoever breaks out of the guest
// finds a process that can do no more than the guest could already.

import CSwiftletKVM
import Glibc

/// The monitor's own bounds.
enum Confinement {
    /// Enters them, for good.
    ///
    /// - Closed descriptors: all but the standard ones, the processor and the link. The virtual
    ///   machine and its memory live as long as its processor.
    /// - Limits: no new descriptor, no core file with the guest's memory in it.
    /// - System calls: those of swiftlet_filter_calls; opening files, making sockets and processes
    ///   are not among them, so there is no path and no address left to be guarded.
    ///
    /// - Parameters:
    ///   - processor: the virtual processor's descriptor.
    ///   - link: the network link's, if there is one.
    static func enter(processor: Int32, link: Int32?) throws(MonitorError) {
        try closeAll(
            except: [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, processor, link ?? processor])
        // Polling two descriptors takes a limit of two. None below is free, so there are no new ones.
        for (resource, limit) in [(RLIMIT_NOFILE, rlim_t(2)), (RLIMIT_CORE, rlim_t(0))] {
            var bound = rlimit(rlim_cur: limit, rlim_max: limit)
            guard setrlimit(__rlimit_resource_t(resource.rawValue), &bound) == 0 else {
                throw .system("cannot set limits")
            }
        }
        guard swiftlet_filter_calls(processor, link ?? -1) == 0 else {
            throw .system("cannot filter system calls (seccomp)")
        }
    }

    private static func closeAll(except kept: [Int32]) throws(MonitorError) {
        var first: UInt32 = 0
        for file in kept.sorted().map(UInt32.init) {
            if file > first, swiftlet_close_range(first, file - 1) != 0 {
                throw .system("cannot close descriptors")
            }
            first = max(first, file + 1)
        }
        guard swiftlet_close_range(first, .max) == 0 else {
            throw .system("cannot close descriptors")
        }
    }
}
