// What the kernel says of a process, read: the texts of /proc.

import Glibc
import Testing

@testable import SwiftletInstances

@Suite("Confinement of processes")
struct ConfinementTests {
    @Test("A confined process's status")
    func status() {
        let seen = ProcessConfinement(
            status: """
                Name: swiftlet-monitor
                Uid: 1000 1000 1000 1000
                VmSize:    70000 kB
                Threads: 1
                CapEff: 0000000000000000
                NoNewPrivs: 1
                Seccomp: 2
                Seccomp_filters: 1
                """)
        #expect(seen.seccomp == "filter" && seen.seccompFilters == 1 && seen.noNewPrivileges)
        #expect(seen.capabilities == 0 && seen.users == [1000, 1000, 1000, 1000])
        #expect(seen.addressSpace == 70000 << 10 && seen.threads == 1)
    }

    @Test("What a status does not say is not in force")
    func silence() {
        let seen = ProcessConfinement(status: "Seccomp: 9\nCapEff: x")
        #expect(seen.seccomp == "filter" && seen.seccompFilters == 0)
        let empty = ProcessConfinement(status: "")
        #expect(empty.seccomp == "none" && !empty.noNewPrivileges && empty.capabilities == .max)
    }

    @Test("Limits by their names")
    func limits() {
        let text = """
            Limit                     Soft Limit           Hard Limit           Units
            Max file size             unlimited            unlimited            bytes
            Max open files            1                    1                    files
            Max nice priority         0                    0
            """
        #expect(
            ProcessConfinement.limits(text).map { "\($0.name)=\($0.value)" } == [
                "file size=unlimited", "open files=1", "nice priority=0",
            ])
    }

    @Test("This process, as the kernel has it")
    func own() throws {
        let seen = try #require(ProcessConfinement(getpid()))
        #expect(seen.users.first == Int(getuid()))
        #expect(seen.ownNamespaces.isEmpty)
        #expect(seen.descriptors.contains { $0.number == 0 })
        #expect(seen.limits.map(\.name).contains("open files"))
        #expect(ProcessConfinement(-1) == nil)
    }

    @Test("A process's share of memory is read in octets, and what is no number is none")
    func proportionalSize() {
        let rollup = """
            00400000-7ffd5b3f1000 ---p 00000000 00:00 0                    [rollup]
            Rss:                1884 kB
            Pss:                 617 kB
            Pss_Dirty:           128 kB
            """
        #expect(InstanceMemory.proportionalSize(rollup: rollup) == 617 << 10)
        for text in ["", "Pss:", "Pss: -1 kB", "Pss: many kB", "Pss: 9223372036854775807 kB"] {
            #expect(InstanceMemory.proportionalSize(rollup: text) == nil)
        }
    }
}
