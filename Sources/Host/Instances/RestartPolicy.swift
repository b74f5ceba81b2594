// Whether a machine that ended is started again, and how long that waits.

import SwiftletBuild

/// As after `--restart`.
public enum RestartPolicy: Equatable, Sendable, Codable {
    case no
    /// After an exit code that is not 0, at most `limit` times (nil: without end).
    case onFailure(limit: Int?)
    /// After every end that nobody asked for.
    case always

    /// Reads `no`, `on-failure`, `on-failure:N` or `always`.
    public init(_ text: String) throws(ToolError) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch (parts.first ?? "", parts.count) {
        case ("no", 1): self = .no
        case ("always", 1): self = .always
        case ("on-failure", 1): self = .onFailure(limit: nil)
        case ("on-failure", 2):
            guard let limit = Int(parts[1]), limit > 0 else { throw Self.reject(text) }
            self = .onFailure(limit: limit)
        default: throw Self.reject(text)
        }
    }

    private static func reject(_ text: String) -> ToolError {
        ToolError(
            "--restart \(text): that is no restart policy",
            hint: "There are: no, on-failure, on-failure:N, always.", exitCode: ExitCode.usage)
    }

    public var text: String {
        switch self {
        case .no: "no"
        case .onFailure(nil): "on-failure"
        case .onFailure(let limit?): "on-failure:\(limit)"
        case .always: "always"
        }
    }

    /// Whether an end with `exitCode` is followed by another start, after so many `restarts`.
    public func restarts(after exitCode: Int32, restarts: Int) -> Bool {
        switch self {
        case .no: false
        case .always: true
        case .onFailure(let limit): exitCode != 0 && restarts < limit ?? .max
        }
    }

    public init(from decoder: any Decoder) throws {
        try self.init(String(from: decoder))
    }

    public func encode(to encoder: any Encoder) throws {
        try text.encode(to: encoder)
    }
}

/// The wait before a restart: doubled after each short life, the shortest again after a long one.
public struct RestartBackOff: Equatable, Sendable {
    public var shortest: Duration = .milliseconds(100)
    public var longest: Duration = .seconds(60)
    /// A life that was worth a fresh start.
    public var goodLife: Duration = .seconds(10)
    private var next: Duration?

    public init() {}

    /// How long to wait after a machine that ran for `life`.
    public mutating func delay(afterLife life: Duration) -> Duration {
        let delay = life >= goodLife ? shortest : min(next ?? shortest, longest)
        next = delay * 2
        return delay
    }
}
