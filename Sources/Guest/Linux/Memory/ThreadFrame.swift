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
        private static let floatingPointOffset = 192
        /// The control words that Linux gives a new program.
        private static let controlWord: UInt16 = 0x37F
        private static let mediaControl: UInt32 = 0x1F80
        /// In what FXSAVE writes: MXCSR, and which of its bits there are (0: the first processors').
        private static let mediaControlOffset = 24
        private static let mediaControlMaskOffset = 28
        private static let firstMediaControlMask: UInt32 = 0xFFBF

        /// Zeroed registers, with the floating-point unit as at the start of a program.
        init() {
            let size = MemoryLayout<swiftlet_linux_frame>.size
            guard let memory = Heap.allocate(size) else { Faults.fail("out of memory") }
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
            pointer = memory.assumingMemoryBound(to: swiftlet_linux_frame.self)
            Self.clear(floatingPoint: memory + Self.floatingPointOffset)
            pointer.pointee.rflags = 0x202
            guard let area = ExtendedStates.make() else { return }
            pointer.pointee.extended = area
            pointer.pointee.extended_is_saved = 1
        }

        private static func clear(floatingPoint state: UnsafeMutableRawPointer) {
            state.initializeMemory(as: UInt8.self, repeating: 0, count: floatingPointSize)
            state.storeBytes(of: controlWord, as: UInt16.self)
            state.storeBytes(of: mediaControl, toByteOffset: mediaControlOffset, as: UInt32.self)
        }

        /// Floating-point and vector registers as at a program's start, for a handler of signals.
        func clearVectors() {
            Self.clear(floatingPoint: UnsafeMutableRawPointer(pointer) + Self.floatingPointOffset)
            ExtendedStates.clear(pointer.pointee.extended)
            pointer.pointee.extended_is_saved = 1
        }

        var registers: swiftlet_linux_frame {
            @inline(__always) _read { yield pointer.pointee }
            @inline(__always) nonmutating _modify { yield &pointer.pointee }
        }

        /// Takes another thread's registers over, but for the extended ones: compilers keep nothing
        /// there across a call of clone.
        func copy(_ other: ThreadFrame) {
            let area = pointer.pointee.extended
            UnsafeMutableRawPointer(pointer).copyMemory(
                from: other.pointer, byteCount: MemoryLayout<swiftlet_linux_frame>.size)
            pointer.pointee.extended = area
            pointer.pointee.extended_is_saved = 1
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
            // Of the registers that are saved there: the processor has written it.
            let known = state.load(fromByteOffset: Self.mediaControlMaskOffset, as: UInt32.self)
            let mask = known == 0 ? Self.firstMediaControlMask : known
            bytes.withUnsafeBytes {
                state.copyMemory(
                    from: $0.baseAddress.unsafelyUnwrapped,
                    byteCount: min($0.count, Self.floatingPointSize))
            }
            let control = state.load(fromByteOffset: Self.mediaControlOffset, as: UInt32.self)
            state.storeBytes(
                of: control & mask, toByteOffset: Self.mediaControlOffset, as: UInt32.self)
        }

        /// Runs the program with these registers until it leaves.
        func resume() -> ProgramExit { ProgramMode.resume(pointer) }

        func free() {
            ExtendedStates.free(pointer.pointee.extended)
            Heap.free(pointer)
        }

        /// What XSAVE keeps besides `floatingPoint`, its header in front: the last octets of an area;
        /// empty where there is nothing of the kind.
        var extendedStates: RawSpan {
            @_lifetime(borrow self)
            get {
                if ProgramMode.extendedSize > 0, pointer.pointee.extended_is_saved == 0 {
                    swiftlet_save_extended_states(pointer.pointee.extended)
                    pointer.pointee.extended_is_saved = 1
                }
                let bytes = ExtendedStates.bytes(pointer.pointee.extended)
                return _overrideLifetime(UnsafeRawBufferPointer(bytes).bytes, borrowing: self)
            }
        }

        /// Takes extended registers over from the program's memory.
        func setExtendedStates(_ states: RawSpan) {
            ExtendedStates.set(pointer.pointee.extended, states)
            pointer.pointee.extended_is_saved = 1
        }
    }

    /// Areas of XSAVE (SDM volume 1 §13.4), one a thread. The first 512 octets are FXSAVE's, which is
    /// used for those registers; then comes a header of 64, then what is kept here.
    private enum ExtendedStates {
        private static let alignment: UInt64 = 64

        /// An area in which all is as at a program's start; nil if there is nothing to be kept.
        static func make() -> UInt64? {
            let size = ProgramMode.extendedSize
            guard size > ThreadFrame.floatingPointSize else { return nil }
            // The heap aligns to 16; the distance stands in front of the area.
            guard let memory = Heap.allocate(size + 2 * Int(alignment)) else {
                Faults.fail("out of memory")
            }
            let start = UInt64(UInt(bitPattern: memory))
            let area = (start + 8 + alignment - 1) & ~(alignment - 1)
            let place = memory + Int(area - start)
            (place - 8).storeBytes(of: start, as: UInt64.self)
            place.initializeMemory(as: UInt8.self, repeating: 0, count: size)
            // Loaded along with AVX's registers.
            place.storeBytes(of: 0x1F80, toByteOffset: 24, as: UInt32.self)
            return area
        }

        static func free(_ area: UInt64) {
            guard let place = UnsafeRawPointer(bitPattern: UInt(area)),
                let memory = UnsafeMutableRawPointer(
                    bitPattern: UInt((place - 8).load(as: UInt64.self)))
            else { return }
            Heap.free(memory)
        }

        static func bytes(_ area: UInt64) -> UnsafeMutableRawBufferPointer {
            let skipped = ThreadFrame.floatingPointSize
            return UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: UInt(area)).map { $0 + skipped },
                count: max(ProgramMode.extendedSize - skipped, 0))
        }

        /// Has the next XRSTOR begin anew: the header says that nothing is there.
        static func clear(_ area: UInt64) {
            let bytes = bytes(area)
            guard bytes.count >= 64 else { return }
            for offset in stride(from: 0, to: 64, by: 8) {
                bytes.storeBytes(of: 0, toByteOffset: offset, as: UInt64.self)
            }
        }

        /// Puts states into an area, with a header that can be loaded: XRSTOR faults for others.
        static func set(_ area: UInt64, _ states: RawSpan) {
            let bytes = bytes(area)
            guard bytes.count >= 64, states.byteCount == bytes.count else { return }
            states.withUnsafeBytes { bytes.copyMemory(from: $0) }
            let held = bytes.load(as: UInt64.self) & UInt64(swiftlet_linux_extended_states)
            bytes.storeBytes(of: held, as: UInt64.self)
            for offset in stride(from: 8, to: 64, by: 8) {
                bytes.storeBytes(of: 0, toByteOffset: offset, as: UInt64.self)
            }
        }
    }

    /// A system call of the thread that runs. 0: go straight back to it.
    @_cdecl("swiftlet_linux_call")
    func linuxCall(_ frame: UnsafeMutablePointer<swiftlet_linux_frame>) -> UInt32 {
        Scheduler.current.unsafelyUnwrapped.borrowed { $0.systemCall() }
            ? 0 : UInt32(LINUX_LEFT_BY_CALL)
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
        let thread = Scheduler.current.unsafelyUnwrapped.takeUnretainedValue()
        if vector == 6, BuiltInMonitor.isPresent, thread.stepOverSystemCall() {
            return thread.systemCall() ? 0 : UInt32(LINUX_LEFT_BY_CALL)
        }
        thread.exception(
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
