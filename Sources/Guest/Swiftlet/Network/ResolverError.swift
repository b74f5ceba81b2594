// Why a name or a host could not be reached, with the name.

import SwiftletNetwork

/// Why a name could not be resolved.
public struct ResolverError: Error {
    /// What was wrong.
    public enum Cause: Error, Equatable {
        /// It is no name that a host could have: labels of 1 to 63 letters, digits, `-` and `_`.
        case notAName
        /// There is no such name.
        case noSuchName
        /// The name has nothing of what was asked for.
        case noData
        /// No name server is known: neither DHCP, nor a router, nor the command line (`dns=`) names one.
        case noServer
        /// No server has answered in time, or the deadline passed.
        case timedOut
        /// Servers have answered, and none of them can tell.
        case serverFailure
        /// The name stands for another, and so on, too often.
        case tooManyAliases
        /// Too many names are being asked for at once.
        case tooManyQuestions
        /// The task was cancelled.
        case cancelled
        /// The machine has no network, or no address.
        case network(NetworkError)
    }

    /// The name as it was given.
    public var name: String
    public var cause: Cause
}

/// Why no connection to a host could be opened.
public struct ConnectError: Error {
    /// What was wrong.
    public enum Cause: Error, Equatable {
        /// The name was not resolved.
        case name(ResolverError.Cause)
        /// It was, and none of its addresses could be connected to; this is the reason of the last
        /// one that a route leads to.
        case network(NetworkError)
    }

    /// The host as it was given.
    public var host: String
    public var port: UInt16
    public var cause: Cause
}

extension ResolverError.Cause: CustomStringConvertible {
    public var description: String { text.description }

    var text: StaticString {
        switch self {
        case .notAName: "this is no host's name"
        case .noSuchName: "there is no such name"
        case .noData: "the name has no such records"
        case .noServer: "no name server is known (the network named none, nor did --dns)"
        case .timedOut: "no name server answered in time"
        case .serverFailure: "the name servers cannot tell"
        case .tooManyAliases: "the name is an alias of an alias, too often"
        case .tooManyQuestions: "too many names are asked for at once"
        case .cancelled: "cancelled"
        case .network(let error): error.name
        }
    }

    init(_ failure: DNSFailure) {
        switch failure {
        case .noServer: self = .noServer
        case .timedOut: self = .timedOut
        case .serverFailure: self = .serverFailure
        case .tooManyAliases: self = .tooManyAliases
        case .tooManyQuestions: self = .tooManyQuestions
        }
    }
}

extension ConnectError.Cause: CustomStringConvertible {
    public var description: String { text.description }

    var text: StaticString {
        switch self {
        case .name(let cause): cause.text
        case .network(let error): error.name
        }
    }
}

extension ResolverError: CustomStringConvertible {
    public var description: String { "cannot resolve " + name + ": " + cause.description }
}

extension ConnectError: CustomStringConvertible {
    public var description: String { "cannot connect to " + host + ": " + cause.description }
}
