// Standard input on its way to the guest: pieces, each behind its length, so that it can end.
//
// A console's port carries octets and nothing else (virtio 1.2 §5.3): only the control queues of
// MULTIPORT could tell that no more will come, and they differ between hosts. So the end is a piece
// of no octets. The supervisor makes the pieces; the monitor passes them on as they are.

/// The form of a piece.
public enum InputPiece {
    /// Octets before a piece's own: its length, the lower octet first.
    public static var headerSize: Int { 2 }
    /// The most octets of one piece.
    public static var longest: Int { 65535 }

    /// What stands before `count` octets, of which there are `longest` at most; 0 is the end.
    public static func header(_ count: Int) -> [UInt8] {
        [UInt8(truncatingIfNeeded: count), UInt8(truncatingIfNeeded: count >> 8)]
    }
}

/// Finds the octets in a stream of pieces, however the stream is cut.
public struct InputPieces: Equatable, Sendable {
    /// Octets of the piece that are still to come.
    private var left = 0
    /// Of a header that has come in part.
    private var headerOctets = 0
    /// The last piece has come; what follows means nothing.
    public private(set) var hasEnded = false

    public init() {}

    /// Takes the headers that `stream`, the next octets of the stream, begins with.
    ///
    /// - Returns: where the octets of a piece lie behind them; empty if none have come, or at the
    ///   end. What is taken of them is to be said with `take`.
    public mutating func next(in stream: RawSpan) -> Range<Int> {
        var place = 0
        while left == 0 || headerOctets > 0, !hasEnded, place < stream.byteCount {
            let octet = Int(stream.unsafeLoad(fromByteOffset: place, as: UInt8.self))
            place += 1
            left |= octet << (8 * headerOctets)
            headerOctets += 1
            if headerOctets == InputPiece.headerSize {
                headerOctets = 0
                hasEnded = left == 0
            }
        }
        guard headerOctets == 0, !hasEnded else { return place..<place }
        return place..<(place + min(left, stream.byteCount - place))
    }

    /// So many octets of what `next` gave are taken.
    public mutating func take(_ count: Int) { left -= count }
}
