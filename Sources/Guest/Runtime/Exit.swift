// The end of the application, whichever way it comes.

import SwiftletMachine

#if hasFeature(Embedded)
    /// Ends the machine with the application's exit code.
    public enum Exit {
        /// The case of the network's error that was thrown last: most likely what ends `main`, if
        /// an error does.
        nonisolated(unsafe) public static var lastNetworkError: StaticString = ""

        /// Writes what standard output holds back, then powers off. The host sees the low eight
        /// bits, as of any Unix process.
        public static func exit(code: Int32) -> Never {
            StandardOutput.flush()
            Power.off(code: UInt8(truncatingIfNeeded: code))
        }
    }

    /// `main` has thrown. Which error, the compiler has dropped by now: what is known is the last of
    /// the network's, and, by the address in the debug file, the error's type.
    @_cdecl("swiftlet_end_of_throwing_main")
    func endOfThrowingMain(_ address: UInt64) {
        StandardOutput.flush()
        Console.write("\nswiftlet: main ended by throwing an error")
        if Exit.lastNetworkError.utf8CodeUnitCount > 0 {
            Console.write("; the last of the network's was NetworkError.")
            Console.write(Exit.lastNetworkError)
        }
        Console.write("\n")
        Faults.writeFrame(address)
        Power.off(code: 1)
    }

    @_cdecl("exit")
    func cExit(_ code: Int32) { Exit.exit(code: code) }

    @_cdecl("abort")
    func cAbort() {
        StandardOutput.flush()
        Faults.fail("abort")
    }

    @_cdecl("__cxa_pure_virtual")
    func pureVirtual() { Faults.fail("a pure virtual function was called") }

    @_cdecl("__stack_chk_fail")
    func stackCheckFailed() { Faults.fail("a stack canary was overwritten") }

    // The red-black tree under std::set. The concurrency runtime keeps one only while it copies
    // task-local values, which Embedded Swift does not have.
    @_cdecl("_ZSt18_Rb_tree_decrementPSt18_Rb_tree_node_base")
    func treeDecrement() { Faults.fail("task-local values are not supported") }

    @_cdecl("_ZSt29_Rb_tree_insert_and_rebalancebPSt18_Rb_tree_node_baseS0_RS_")
    func treeInsert() { Faults.fail("task-local values are not supported") }

    // std::__throw_length_error(char const*): C++ without exceptions ends here.
    @_cdecl("_ZSt20__throw_length_errorPKc")
    func throwLengthError() { Faults.fail("a C++ container grew too long") }
#endif
