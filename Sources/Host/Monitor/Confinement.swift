// What the monitor gives up before the guest's first instruction: whoever breaks out of the guest
// finds a process that can do no more than the guest could already.

import CSwiftletKVM
import Glibc

/// The monitor's own bounds.
enum Confinement {
    /// Enters them, for good.
    ///
    /// - Capabilities: none, whoever started this.
    /// - Landlock, where the kernel offers it: no path, no port, no other process. The filter leaves
    ///   no call that could name one; should there be a hole in it, this stands behind it.
    /// - Closed descriptors: all but the standard ones and those that are kept. The virtual
    ///   machine and its memory live as long as its processor.
    /// - Limits: no new descriptor, no core file with the guest's memory in it.
    /// - System calls: those of swiftlet_filter_calls.
    ///
    /// - Parameters:
    ///   - processor: the virtual processor's descriptor.
    ///   - link: the network link's, if there is one.
    ///   - disk: the disk's, if there is one.
    ///   - input: standard input's, if there is any.
    ///   - statistics: where to say what is in force; its descriptor is kept too.
    static func enter(
        processor: Int32, link: Int32?, disk: Int32?, input: Int32?, statistics: StatisticsPage
    ) throws(MonitorError) {
        guard swiftlet_drop_capabilities() == 0 else {
            throw .system("cannot give up capabilities")
        }
        let landlock = swiftlet_enter_landlock()
        guard landlock >= 0 else { throw .system("cannot enter a Landlock domain") }
        let kept = [processor, link, disk, input, statistics.file].compactMap { $0 }
        try closeAll(except: [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] + kept)
        // Polling takes a limit as large as what is polled. None below is free, so there are no new
        // ones: the standard three are open.
        // None of RLIMIT_NPROC: KVM makes a thread of its own for a machine at its first entry, which
        // counts. Processes are the filter's to refuse.
        for (resource, limit) in [
            (RLIMIT_NOFILE, rlim_t(Devices.polledCount)), (RLIMIT_CORE, rlim_t(0)),
        ] {
            var bound = rlimit(rlim_cur: limit, rlim_max: limit)
            guard setrlimit(__rlimit_resource_t(resource.rawValue), &bound) == 0 else {
                throw .system("cannot set limits")
            }
        }
        statistics.say(
            "landlock: " + (landlock > 0 ? "version \(landlock)" : "not offered by this kernel")
                + "\ncalls: " + String(cString: swiftlet_allowed_call_names()) + "\n")
        guard swiftlet_filter_calls(processor, link ?? -1, disk ?? -1, input ?? -1) == 0 else {
            throw .system("cannot filter system calls (seccomp)")
        }
    }

    static func closeAll(except kept: [Int32]) throws(MonitorError) {
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
