// Why a system call has no result: an error of errno(3), or a wait.

/// What ends a system call early.
public struct Errno: Error, Equatable, Sendable {
    /// The number of errno(3); 0 for `suspended`.
    public var code: Int32

    init(_ code: Int32) { self.code = code }

    /// No error: the thread has to wait, and the call is made again when it is woken.
    static var suspended: Errno { Errno(0) }

    static var notPermitted: Errno { Errno(1) }
    static var noEntry: Errno { Errno(2) }
    static var noProcess: Errno { Errno(3) }
    static var interrupted: Errno { Errno(4) }
    static var inputOutput: Errno { Errno(5) }
    static var tooBig: Errno { Errno(7) }
    static var badDescriptor: Errno { Errno(9) }
    static var noChild: Errno { Errno(10) }
    static var again: Errno { Errno(11) }
    static var noMemory: Errno { Errno(12) }
    static var access: Errno { Errno(13) }
    static var fault: Errno { Errno(14) }
    static var exists: Errno { Errno(17) }
    static var noDevice: Errno { Errno(19) }
    static var notDirectory: Errno { Errno(20) }
    static var isDirectory: Errno { Errno(21) }
    static var invalid: Errno { Errno(22) }
    static var tooManyFiles: Errno { Errno(24) }
    static var notTerminal: Errno { Errno(25) }
    static var tooLarge: Errno { Errno(27) }
    static var noSpace: Errno { Errno(28) }
    static var illegalSeek: Errno { Errno(29) }
    static var readOnly: Errno { Errno(30) }
    static var brokenPipe: Errno { Errno(32) }
    static var range: Errno { Errno(34) }
    static var nameTooLong: Errno { Errno(36) }
    static var notImplemented: Errno { Errno(38) }
    static var notEmpty: Errno { Errno(39) }
    static var loop: Errno { Errno(40) }
    static var notSocket: Errno { Errno(88) }
    static var destinationRequired: Errno { Errno(89) }
    static var messageTooLong: Errno { Errno(90) }
    static var noProtocolOption: Errno { Errno(92) }
    static var protocolNotSupported: Errno { Errno(93) }
    static var socketTypeNotSupported: Errno { Errno(94) }
    static var notSupported: Errno { Errno(95) }
    static var addressFamilyNotSupported: Errno { Errno(97) }
    static var addressInUse: Errno { Errno(98) }
    static var addressNotAvailable: Errno { Errno(99) }
    static var networkUnreachable: Errno { Errno(101) }
    static var connectionReset: Errno { Errno(104) }
    static var noBuffers: Errno { Errno(105) }
    static var isConnected: Errno { Errno(106) }
    static var notConnected: Errno { Errno(107) }
    static var timedOut: Errno { Errno(110) }
    static var connectionRefused: Errno { Errno(111) }
    static var hostUnreachable: Errno { Errno(113) }
    static var alreadyInProgress: Errno { Errno(114) }
    static var inProgress: Errno { Errno(115) }
}
