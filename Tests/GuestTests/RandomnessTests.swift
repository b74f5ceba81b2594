// Randomness on a processor without RDRAND: from virtio-rng, or an honest refusal.

import SwiftletBuild
import SwiftletHypervisors
import Testing

@Suite("Randomness", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct RandomnessTests {
    /// A machine whose processor has neither RDRAND nor RDSEED. Only QEMU's translator can hide them:
    /// in the built-in monitor a guest has the host's, whatever its devices are.
    private func monitor(hasDevice: Bool) -> QEMU {
        var qemu = QEMU(acceleration: .tcg)
        qemu.amend = { command in
            var result: [String] = []
            for argument in command {
                if !hasDevice, argument.hasPrefix("virtio-rng") {
                    result.removeLast()
                } else {
                    result.append(argument == "max" ? "max,-rdrand,-rdseed" : argument)
                }
            }
            return result
        }
        return qemu
    }

    @Test("Numbers come from virtio-rng, others at each start", arguments: MachineKind.qemu)
    func device(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        var numbers: Set<String> = []
        for _ in 0..<2 {
            let end = try await Machine.run(
                image, type: type, monitor: monitor(hasDevice: true), arguments: ["random"])
            #expect(end.exit == .exited(0), "\(end.output)")
            let lines = end.output.split(whereSeparator: \.isNewline)
            #expect(lines.count == 4, "\(end.output)")
            #expect(lines.allSatisfy { $0.hasPrefix("random ") }, "\(end.output)")
            numbers.formUnion(lines.map(String.init))
        }
        #expect(numbers.count == 8, "\(numbers)")
    }

    @Test("Without a source the machine stops and says so", arguments: MachineKind.qemu)
    func none(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: type, monitor: monitor(hasDevice: false), arguments: ["random"])
        #expect(
            end.output.contains(
                "no source of randomness: the CPU has no RDRAND and the machine no virtio-rng"),
            "\(end.output)")
        #expect(!end.output.contains("random "), "\(end.output)")
        #expect(end.exit == .exited(134), "\(end.output)")
    }

    @Test("A program that wants no random numbers runs without a source")
    func unneeded() async throws {
        let end = try await Machine.run(
            try await GuestImages.guest("Hello"), monitor: monitor(hasDevice: false))
        #expect(end.exit == .exited(0))
    }
}
