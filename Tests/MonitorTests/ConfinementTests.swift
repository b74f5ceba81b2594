// The monitor's filter of system calls, in a process of the test's own: what is left works, all else
// kills. Descriptors and limits are looked at in a monitor that runs (GuestTests).

import CSwiftletKVM
import Glibc
import Testing

@testable import SwiftletMonitor

@Suite("Confinement")
struct ConfinementTests {
    @Test("What running a guest takes is left")
    func allowed() async {
        await #expect(processExitsWith: .exitCode(42)) {
            var ends: [Int32] = [-1, -1]
            pipe(&ends)
            dup2(ends[1], STDOUT_FILENO)
            // Other threads' memory grows by calls that the monitor, which has one, does not make.
            var octets: [UInt8] = .init(repeating: 0, count: 100_000)
            guard swiftlet_filter_calls(ends[1], ends[0], -1, -1) == 0 else { _exit(3) }
            _ = swiftlet_get_random(&octets, octets.count)
            var polled = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            guard swiftlet_poll(&polled, 1, 1000) == 0 else { _exit(2) }
            let isSent =
                write(STDOUT_FILENO, octets, 10) == 10 && swiftlet_poll(&polled, 1, .max) == 1
                && read(ends[0], &octets, 100) == 10
            _exit(isSent && time(nil) > 0 ? 42 : 1)
        }
    }

    @Test("Opening a file kills")
    func openFile() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            guard swiftlet_filter_calls(1, -1, -1, -1) == 0 else { _exit(3) }
            _exit(Glibc.open("/etc/passwd", O_RDONLY) >= 0 ? 1 : 2)
        }
    }

    @Test("Making a socket kills")
    func makeSocket() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            guard swiftlet_filter_calls(1, -1, -1, -1) == 0 else { _exit(3) }
            _exit(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) >= 0 ? 1 : 2)
        }
    }

    @Test("Making a process kills")
    func makeProcess() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            guard swiftlet_filter_calls(1, -1, -1, -1) == 0 else { _exit(3) }
            var child: pid_t = 0
            _exit(posix_spawn(&child, "/bin/true", nil, nil, [nil], [nil]) == 0 ? 1 : 2)
        }
    }

    @Test("Executable memory kills")
    func code() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            guard swiftlet_filter_calls(1, -1, -1, -1) == 0 else { _exit(3) }
            let flags = MAP_PRIVATE | MAP_ANONYMOUS
            _exit(mmap(nil, 4096, PROT_READ | PROT_EXEC, flags, -1, 0) == MAP_FAILED ? 1 : 2)
        }
    }

    @Test("Rights of memory may be changed, but for that to execute; the one timer may be set")
    func rights() async {
        await #expect(processExitsWith: .exitCode(42)) {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS
            guard let page = mmap(nil, 4096, PROT_READ | PROT_WRITE, flags, -1, 0),
                swiftlet_filter_calls(1, -1, -1, -1) == 0
            else { _exit(3) }
            swiftlet_kick_after(60_000_000_000)
            _exit(mprotect(page, 4096, PROT_READ) == 0 ? 42 : 1)
        }
        await #expect(processExitsWith: .signal(SIGSYS)) {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS
            guard let page = mmap(nil, 4096, PROT_READ | PROT_WRITE, flags, -1, 0),
                swiftlet_filter_calls(1, -1, -1, -1) == 0
            else { _exit(3) }
            _exit(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ? 1 : 2)
        }
    }

    @Test("Of advice on memory, only what gives it back is taken")
    func advice() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS
            guard let page = mmap(nil, 4096, PROT_READ | PROT_WRITE, flags, -1, 0),
                swiftlet_filter_calls(1, -1, -1, -1) == 0, madvise(page, 4096, MADV_DONTNEED) == 0
            else { _exit(3) }
            _exit(madvise(page, 4096, MADV_HUGEPAGE) == 0 ? 1 : 2)
        }
    }

    @Test("Another ioctl than the processor's kills")
    func control() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            guard swiftlet_filter_calls(1, -1, -1, -1) == 0 else { _exit(3) }
            _exit(swiftlet_ioctl(1, swiftlet_kvm_create_vm, 0) >= 0 ? 1 : 2)
        }
    }

    @Test("Reading from another descriptor than the link's kills")
    func readElsewhere() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            var ends: [Int32] = [-1, -1]
            pipe(&ends)
            guard write(ends[1], "x", 1) == 1, swiftlet_filter_calls(1, ends[1], -1, -1) == 0 else {
                _exit(3)
            }
            var octet: UInt8 = 0
            _exit(read(ends[0], &octet, 1) == 1 ? 1 : 2)
        }
    }

    @Test("Sectors are read and written on the disk's file, and on no other")
    func disk() async {
        await #expect(processExitsWith: .exitCode(42)) {
            var name = Array("/tmp/swiftlet-disk-XXXXXX".utf8CString)
            let file = mkstemp(&name)
            unlink(name)
            ftruncate(file, 512)
            guard swiftlet_filter_calls(1, -1, file, -1) == 0 else { _exit(3) }
            let disk = DiskFile(file: file, sectorCount: 1, isReadOnly: false)
            let octets = UnsafeMutablePointer<UInt8>.allocate(capacity: 512)
            octets.initialize(repeating: 7, count: 512)
            var vector = iovec(iov_base: octets, iov_len: 512)
            guard disk.write(&vector, count: 1, sector: 0), disk.flush() else { _exit(1) }
            octets.update(repeating: 0, count: 512)
            vector = iovec(iov_base: octets, iov_len: 512)
            _exit(disk.read(&vector, count: 1, sector: 0) && octets[511] == 7 ? 42 : 2)
        }
        await #expect(processExitsWith: .signal(SIGSYS)) {
            var name = Array("/tmp/swiftlet-disk-XXXXXX".utf8CString)
            let file = mkstemp(&name)
            unlink(name)
            guard swiftlet_filter_calls(1, -1, -1, -1) == 0 else { _exit(3) }
            _exit(pwrite(file, "x", 1, 0) == 1 ? 1 : 2)
        }
        await #expect(processExitsWith: .signal(SIGSYS)) {
            var ends: [Int32] = [-1, -1]
            pipe(&ends)
            guard swiftlet_filter_calls(1, -1, ends[0], -1) == 0 else { _exit(3) }
            var vector = iovec()
            _exit(preadv(ends[1], &vector, 1, 0) < 0 ? 1 : 2)
        }
    }

    @Test("Writing to another descriptor than the console's kills")
    func writeElsewhere() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            var ends: [Int32] = [-1, -1]
            pipe(&ends)
            guard swiftlet_filter_calls(1, -1, -1, -1) == 0 else { _exit(3) }
            _exit(write(ends[1], "x", 1) == 1 ? 1 : 2)
        }
    }

    @Test("In a Landlock domain no file opens and no port is reached, without any filter")
    func landlock() async {
        await #expect(processExitsWith: .exitCode(42)) {
            let version = swiftlet_enter_landlock()
            // Kernels before 5.13, or without it.
            if version == 0 { _exit(42) }
            guard version > 0, Glibc.open("/etc/passwd", O_RDONLY) < 0, errno == EACCES else {
                _exit(1)
            }
            guard version >= 4 else { _exit(42) }
            let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = UInt16(9).bigEndian
            name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let result = withUnsafePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            _exit(result < 0 && errno == EACCES ? 42 : 2)
        }
    }

    @Test("Without capabilities root is refused what root alone may do")
    func capabilities() async {
        await #expect(processExitsWith: .exitCode(42)) {
            guard swiftlet_drop_capabilities() == 0 else { _exit(1) }
            _exit(chroot("/") < 0 && errno == EPERM ? 42 : 2)
        }
    }

    @Test("What is said of the filter names each call that it allows")
    func names() {
        let words = String(cString: swiftlet_allowed_call_names()).split(separator: " ")
        for word in [
            "ppoll", "read(0|link|input)", "sendmsg(link)", "pwritev(disk)", "write(1|2)",
            "ioctl(KVM_RUN)", "mprotect(!PROT_EXEC)", "setitimer(ITIMER_REAL)",
        ] {
            #expect(words.contains { $0 == word }, "\(word)")
        }
        #expect(!words.contains { $0.hasPrefix("open") || $0.hasPrefix("socket") })
    }
}
