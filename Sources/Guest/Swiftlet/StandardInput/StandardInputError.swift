// Why standard input cannot be read.

/// Why standard input cannot be read.
public enum StandardInputError: Error, Equatable, Sendable {
    /// Another task waits for it.
    case busy
    /// The task was cancelled.
    case cancelled
    /// The device broke virtio's rules, and is asked no more.
    case broken
}

extension StandardInputError: CustomStringConvertible {
    /// Type and case, since Embedded Swift cannot tell them by itself.
    public var description: String {
        switch self {
        case .busy: "StandardInputError.busy"
        case .cancelled: "StandardInputError.cancelled"
        case .broken: "StandardInputError.broken"
        }
    }
}
