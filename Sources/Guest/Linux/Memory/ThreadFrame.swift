// The registers of a thread while it is in the library OS, and the entries from assembly.

import CSwiftletMachine
import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    /// A thread's registers. Owned by its thread, which frees them.
    struct ThreadFrame {
        private let pointer: UnsafeMutablePointer<swiftlet_linux_frame>

        /// Octets of what FXSAVE writes (SDM volume 1 §10.5.1).
        static let floatingPointSize = 512
        private static let floatingPointOffset = 176
        /// The control words that Linux gives a new program.
        private static let controlWord: UInt16 = 0x37F
        private static let mediaControl: UInt32 = 0x1F80

        /// Zeroed registers, with the floating-point unit as at the start of a program.
        init() {
            let size = MemoryLayout<swiftlet_linux_frame>.size
            guard let memory = Heap.allocate(size) else { Faults.fail("out of memory") }
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
            pointer = memory.assumingMemoryBound(to: swiftlet_linux_frame.self)
            let state = memory + Self.floatingPointOffset
            state.storeBytes(of: Self.controlWord, as: UInt16.self)
            state.storeBytes(of: Self.mediaControl, toByteOffset: 24, as: UInt32.self)
            pointer.pointee.rflags = 0x202
        }

        var registers: swiftlet_linux_frame {
            @inline(__always) _read { yield pointer.pointee }
            @inline(__always) nonmutating _modify { yield &pointer.pointee }
        }

        func copy(_ other: ThreadFrame) {
            UnsafeMutableRawPointer(pointer).copyMemory(
                from: other.pointer, byteCount: MemoryLayout<swiftlet_linux_frame>.size)
        }

        /// What FXSAVE has written.
        var floatingPoint: RawSpan {
            @_lifetime(borrow self)
            get {
                let bytes = UnsafeRawBufferPointer(
                    start: UnsafeRawPointer(pointer) + Self.floatingPointOffset,
                    count: Self.floatingPointSize)
                return _overrideLifetime(bytes.bytes, borrowing: self)
            }
        }

        /// Takes floating-point registers over from the program's memory. Reserved bits of MXCSR
        /// would fault when they are loaded.
        func setFloatingPoint(_ bytes: RawSpan) {
            let state = UnsafeMutableRawPointer(pointer) + Self.floatingPointOffset
            bytes.withUnsafeBytes {
                state.copyMemory(
                    from: $0.baseAddress.unsafelyUnwrapped,
                    byteCount: min($0.count, Self.floatingPointSize))
            }
            let control = state.load(fromByteOffset: 24, as: UInt32.self) & 0xFFBF
            state.storeBytes(of: control, toByteOffset: 24, as: UInt32.self)
        }

        /// Runs the program with these registers until it leaves.
        func resume() -> ProgramExit { ProgramMode.resume(pointer) }

        func free() { Heap.free(pointer) }
    }

    /// A system call of the thread that runs. 0: go straight back to it.
    @_cdecl("swiftlet_linux_call")
    func linuxCall(_ frame: UnsafeMutablePointer<swiftlet_linux_frame>) -> UInt32 {
        Scheduler.current.unsafelyUnwrapped.systemCall() ? 0 : UInt32(LINUX_LEFT_BY_CALL)
    }

    /// An exception of the thread that runs. 0: go on where it was.
    @_cdecl("swiftlet_linux_exception")
    func linuxException(_ frame: UnsafeMutablePointer<swiftlet_linux_frame>) -> UInt32 {
        let (vector, error, address) = (
            frame.pointee.vector, frame.pointee.error_code, frame.pointee.address
        )
        if vector == 14,
            AddressSpace.touch(
                address, isWrite: error & 1 << 1 != 0, isExecution: error & 1 << 4 != 0)
        {
            return 0
        }
        Scheduler.current.unsafelyUnwrapped.exception(
            vector: vector, errorCode: error, address: address)
        return UInt32(LINUX_LEFT_BY_CALL)
    }

    /// A page fault of the library OS's own: 1 if the program's memory was promised there. The
    /// mappings were checked before, so anything else is a mistake of ours.
    @_cdecl("swiftlet_linux_own_fault")
    func linuxOwnFault(_ address: UInt64, _ errorCode: UInt64) -> UInt32 {
        AddressSpace.touch(address, isWrite: errorCode & 1 << 1 != 0) ? 1 : 0
    }
#endif
