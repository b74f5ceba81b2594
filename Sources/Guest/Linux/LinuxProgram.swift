// Running an unmodified Linux program: the module's main file.
//
// A static program for Linux asks its kernel for everything by one instruction. The image builder
// turns each into a jump, and the library OS answers as Linux would (Linux man-pages, section 2;
// the System V ABI for x86-64 §3.4.1 and Appendix A). There is one process, with as many threads as
// it likes, in the same ring and address space as the library OS.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// The program in this image.
    public enum LinuxProgram {
        /// Runs it. Its end is the machine's, and its exit code, too.
        public static func run() async {
            guard ProgramMode.isPossible else {
                Console.write("swiftlet: Linux programs need a processor with FSGSBASE here: ")
                Console.write("use --monitor qemu\n")
                Exit.exit(code: 126)
            }
            guard let table = ProgramTable(ImageContents.program) else {
                Console.write("swiftlet: there is no program in this image\n")
                Exit.exit(code: 127)
            }
            ProgramStart.start(table)
            EventLoop.add(ProgramSource())
            // The loop goes on while main waits, and nothing wakes it.
            _ = await Waits.wait(at: Waits.makePlace())
        }
    }
#endif
