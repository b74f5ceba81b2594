// The built-in monitor: runs one image in a virtual machine of its own, without ring 0.
//
// A program of its own, one process a machine, small so that it starts in a moment, and with nothing
// in it that a guest could reach but KVM and a few devices. The guest's address space is this
// process's work from the first page (docs/architecture.md, "The built-in monitor").

import Glibc
import SwiftletBootProtocol

@main
struct MonitorCommand {
    static func main() {
        var moments = StartMoments()
        moments.pass(.began)
        // What is opened later must not be taken for one of the standard three.
        for file in STDIN_FILENO...STDERR_FILENO where fcntl(file, F_GETFD) < 0 {
            _ = open("/dev/null", O_RDWR)
        }
        do throws(MonitorError) {
            let settings: MachineSettings
            do throws(MonitorError) {
                settings = try MachineSettings(arguments: Array(CommandLine.arguments.dropFirst()))
            } catch {
                Console.complain(error.message)
                exit(MonitorExitCode.usage)
            }
            var machine = try Machine(settings, moments: moments)
            try machine.confine()
            // What a machine leaves behind goes with the process.
            _exit(Int32(try machine.run()))
        } catch {
            Console.complain(error.message)
            exit(MonitorExitCode.failed)
        }
    }
}
