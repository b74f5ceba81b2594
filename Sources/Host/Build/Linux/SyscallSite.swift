// A `syscall` instruction of a program, and what became of it.

/// One place where a program calls the kernel.
public struct SyscallSite: Equatable, Sendable, Encodable {
    /// How far it can be trusted that this is an instruction.
    public enum Certainty: String, Sendable, Encodable {
        /// It lies in a function that a symbol or the unwind table names, all of which decodes.
        case certain
        /// It was found by decoding straight on, without a fault.
        case likely
        /// Octets around it are no instructions.
        case doubtful
    }

    /// What the site was turned into.
    public enum Method: Equatable, Sendable {
        /// `mov $number, %eax; syscall`, seven octets, into a jump.
        case number
        /// A jump over the site and so many instructions before and after it, which were moved into
        /// the thunk.
        case neighbours(before: Int, after: Int)
        /// Nothing: the instruction is still there.
        case left(reason: String)

        public var isRewritten: Bool {
            if case .left = self { return false }
            return true
        }

        /// In words.
        public var text: String {
            switch self {
            case .number: "number"
            case .neighbours(let before, let after): "neighbours \(before)+\(after)"
            case .left(let reason): "left: \(reason)"
            }
        }
    }

    /// Where the instruction stands, as linked.
    public var address: UInt64
    /// The system call's number, where the instruction before sets it.
    public var number: Int?
    /// The function that it lies in; nil where no symbol says.
    public var function: String?
    public var certainty: Certainty
    public var method: Method

    enum CodingKeys: String, CodingKey { case address, number, function, certainty, method }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(address, forKey: .address)
        try values.encodeIfPresent(number, forKey: .number)
        try values.encodeIfPresent(function, forKey: .function)
        try values.encode(certainty, forKey: .certainty)
        try values.encode(method.text, forKey: .method)
    }
}
