// Runs the Linux program that the image holds; its exit code is the machine's.

import SwiftletLinux

@main
struct Program {
    static func main() async {
        await LinuxProgram.run()
    }
}
