// How machines are started: flags from the user, argument vectors for QEMU.

import Glibc
import SwiftletBootProtocol
import SystemPackage
import Testing

@testable import SwiftletBuild
@testable import SwiftletHypervisors

@Suite("Hypervisors")
struct HypervisorTests {
    static func arguments(
        _ type: MachineType, _ acceleration: QEMU.Acceleration = .tcg,
        ports: [PublishedPort] = [], disk: MachineDisk? = nil
    ) throws -> String {
        var request = MachineRequest(
            image: try ImageTests.image(SampleGuest()), type: type, memory: 512 << 10, ports: ports,
            disk: disk)
        request.commandLine.arguments = ["a b"]
        return QEMU(acceleration: acceleration).arguments(
            for: request, kernel: "/i/image", exitFile: "/t,mp/exit"
        ).joined(separator: " ")
    }

    @Test("A microvm has virtio-mmio devices, a PC has PCI ones")
    func devices() throws {
        let micro = try Self.arguments(.microvm)
        #expect(micro.hasPrefix("-M microvm,acpi=off -m 512K -nodefaults"))
        #expect(micro.contains("-device virtio-net-device,netdev=net -device virtio-rng-device"))
        #expect(micro.contains("virtio-mmio.force-legacy=false"))
        #expect(!micro.contains("pci"))
        for type in [MachineType.pc, .q35] {
            let arguments = try Self.arguments(type)
            #expect(arguments.hasPrefix("-M \(type.rawValue) "))
            #expect(arguments.contains("-device virtio-net-pci,disable-legacy=on"))
            #expect(arguments.contains("-device virtio-rng-pci"))
        }
    }

    @Test("A disk is a raw file, on the machine's own bus")
    func disks() throws {
        #expect(!(try Self.arguments(.microvm).contains("-drive")))
        let micro = try Self.arguments(.microvm, disk: MachineDisk(path: "/d,1"))
        #expect(micro.contains("-drive file=/d,,1,format=raw,if=none,id=disk -device"))
        #expect(micro.contains("-device virtio-blk-device,drive=disk"))
        let disk = try MachineDisk("/nowhere/d:ro")
        #expect(disk == MachineDisk(path: "/nowhere/d", isReadOnly: true))
        #expect(disk.text == "/nowhere/d:ro")
        let pc = try Self.arguments(.pc, disk: disk)
        #expect(pc.contains("file=/nowhere/d,format=raw,if=none,id=disk,readonly=on"))
        #expect(pc.contains("-device virtio-blk-pci,disable-legacy=on,drive=disk"))
        #expect(throws: ToolError.self) { try MachineDisk(":ro") }
    }

    @Test("The guest is told its address, its exit port and its arguments")
    func commandLine() throws {
        let arguments = try Self.arguments(.microvm)
        #expect(
            arguments.contains(
                "-append ip=10.0.2.15/24,10.0.2.2 dns=10.0.2.3 exit.port=0x501 -- a%20b "))
        #expect(arguments.contains("-chardev file,id=exit,path=/t,,mp/exit"))
        #expect(arguments.contains("-device isa-debugcon,iobase=0x501,chardev=exit"))
    }

    @Test("Ports are forwarded from the address asked for")
    func forwarding() throws {
        let arguments = try Self.arguments(
            .pc, ports: [try PublishedPort("8080:80"), try PublishedPort("0.0.0.0:53:5353/udp")])
        #expect(
            arguments.contains(
                "user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:0.0.0.0:53-:5353"))
    }

    @Test("KVM is used only where it was found good")
    func acceleration() throws {
        #expect(try Self.arguments(.pc).contains("-accel tcg -cpu max"))
        #expect(try Self.arguments(.pc, .kvm).contains("-accel kvm -cpu host"))
        #expect(QEMU.Acceleration.hasVirtualisation("model: x\nflags\t\t: fpu vmx sse\n"))
        #expect(QEMU.Acceleration.hasVirtualisation("flags : svm"))
        #expect(!QEMU.Acceleration.hasVirtualisation("flags\t: fpu vmx_x svmx\nbugs : svm"))
        #expect(!QEMU.Acceleration.hasVirtualisation(""))
        #expect(QEMU.Acceleration.detect(cpuInformation: "/nowhere", device: "/dev/null") == .tcg)
    }

    @Test("Published ports are read as docker reads them")
    func ports() throws {
        #expect(try PublishedPort("8080:80") == PublishedPort(host: 8080, guest: 80))
        #expect(try PublishedPort("80") == PublishedPort(host: 80, guest: 80))
        #expect(
            try PublishedPort("10.1.2.3:1:2/udp")
                == PublishedPort(host: 1, guest: 2, address: "10.1.2.3", transport: .udp))
        #expect(try PublishedPort("8080:80").url == "http://127.0.0.1:8080/")
        #expect(try PublishedPort("0.0.0.0:80:80").url == "http://127.0.0.1/")
        #expect(try PublishedPort("1:2/udp").url == nil)
        #expect(
            try PublishedPort("[::1]:8080:80")
                == PublishedPort(host: 8080, guest: 80, address: "::1"))
        #expect(
            try PublishedPort("[2001:db8::7]:1:2/udp")
                == PublishedPort(host: 1, guest: 2, address: "2001:db8::7", transport: .udp))
        #expect(try PublishedPort("[::1]:8080:80").url == "http://[::1]:8080/")
        #expect(try PublishedPort("[::]:80:80").url == "http://[::1]/")
        #expect(try PublishedPort("[::]:80:80").place == "[::]")
        for text in [
            "", ":", "80:", ":80", "0:80", "80:0", "65536:80", "x:80", "1:2:3", "1.2.3:1:2",
            "1:2:3:4", "::1:8080:80", "[::1]", "[::1]:80", "[::1]80:80", "[127.0.0.1]:1:2",
            "[]:1:2",
            "[::1:1:2", "[fe80::1%lo]:1:2", "[::1]:1:2:3", "[::1]:0:1", "80:80/sctp", "80:80/",
            "-1:80",
        ] {
            let error = #expect(throws: ToolError.self, "\(text)") { try PublishedPort(text) }
            #expect(error?.exitCode == ExitCode.usage)
        }
    }

    @Test("QEMU publishes on addresses of IPv4 alone, and says what to do")
    func versions() throws {
        try QEMU.check([try PublishedPort("8080:80")])
        let error = #expect(throws: ToolError.self) {
            try QEMU.check([try PublishedPort("8080:80"), try PublishedPort("[::1]:8081:80")])
        }
        #expect(error?.message.contains("[::1]:8081") ?? false)
        #expect(error?.hint?.contains("--monitor builtin") ?? false)
    }

    @Test("A port in use is told before the machine starts")
    func portInUse() throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &name) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try #require(bind(socket, $0, length) == 0 && listen(socket, 1) == 0)
                getsockname(socket, $0, &length)
            }
        }
        let port = PublishedPort(host: UInt16(bigEndian: name.sin_port), guest: 80)
        let error = #expect(throws: ToolError.self) { try port.checkFree() }
        #expect(error?.message == "port \(port.host)/tcp on 127.0.0.1 is in use")
        #expect(error?.hint?.contains("-p ") ?? false)
        #expect(throws: ToolError.self) {
            try PublishedPort(host: 1234, guest: 1, address: "192.0.2.1").checkFree()
        }
    }

    @Test("Sizes of memory")
    func memory() throws {
        #expect(try MemorySize.parse("64M") == 64 << 20)
        #expect(try MemorySize.parse("64") == 64 << 20)
        #expect(try MemorySize.parse("512k") == 512 << 10)
        #expect(try MemorySize.parse("1GiB") == 1 << 30)
        for text in ["", "M", "0", "-1M", "64X", "1.5G", "99999999999999999999", "9999999G"] {
            #expect(throws: ToolError.self, "\(text)") { try MemorySize.parse(text) }
        }
        #expect(MemorySize.text(512 << 10) == "512 KiB")
        #expect(MemorySize.text(64 << 20) == "64 MiB")
    }

    @Test("Too little memory is told before the machine starts")
    func tooLittleMemory() async throws {
        let request = MachineRequest(
            image: try ImageTests.image(SampleGuest()), type: .pc, memory: 1 << 20)
        let error = await #expect(throws: ToolError.self) {
            try await QEMU(program: "true").run(request) { _ in }
        }
        #expect(error?.message.contains("of memory on pc, and gets 1 MiB") ?? false)
        #expect(error?.hint == "Give it more with -m.")
    }

    @Test("Without QEMU the user is told how to get it")
    func noQEMU() async throws {
        let request = MachineRequest(image: try ImageTests.image(SampleGuest()))
        let error = await #expect(throws: ToolError.self) {
            try await QEMU(program: "no-such-qemu").run(request) { _ in }
        }
        #expect(error?.message == "'no-such-qemu' is not installed")
        #expect(error?.exitCode == ExitCode.notFound)
    }

    @Test("Ends of machines are exit codes of the tool")
    func exitCodes() {
        #expect(MachineExit.exited(3).code == 3)
        #expect(MachineExit.stopped(signal: 15).code == 143)
        #expect(MachineExit.died.code == 134)
        #expect(throws: ToolError.self) { try Monitors.check("vmware") }
    }
}
