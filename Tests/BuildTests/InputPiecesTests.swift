// Pieces of standard input: what goes in comes out, however the stream is cut.

import SwiftletBootProtocol
import SwiftletTestSupport
import Testing

@Suite("Pieces of standard input")
struct InputPiecesTests {
    /// Gives the stream to a reader in parts, which takes as much as `most` says at each look.
    private func read(
        _ stream: [UInt8], cut: () -> Int, most: () -> Int
    ) -> (octets: [UInt8], hasEnded: Bool) {
        var pieces = InputPieces()
        var octets: [UInt8] = []
        var place = 0
        while place < stream.count {
            let end = min(stream.count, place + max(cut(), 1))
            while place < end {
                let part = stream[place..<end]
                let (range, count) = part.withUnsafeBytes { part in
                    let range = pieces.next(in: part.bytes)
                    return (range, min(range.count, max(most(), 1)))
                }
                octets += part[(place + range.lowerBound)..<(place + range.lowerBound + count)]
                pieces.take(count)
                // Nothing of the stream is held back.
                if range.lowerBound + count == 0 { return (octets, pieces.hasEnded) }
                place += range.lowerBound + count
            }
        }
        return (octets, pieces.hasEnded)
    }

    @Test("Random octets in random pieces, cut and taken at random")
    func random() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<200 {
            var octets: [UInt8] = []
            var stream: [UInt8] = []
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                // Also lengths whose lower octet is 0, which alone would be the end.
                let length = [1, 2, 255, 256, 512, 700].randomElement(using: &random) ?? 1
                let piece = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
                octets += piece
                stream += InputPiece.header(length) + piece
            }
            let largest = Int.random(in: 1...600, using: &random)
            var other = random
            let open = read(
                stream, cut: { Int.random(in: 1...largest, using: &random) },
                most: { Int.random(in: 1...300, using: &other) })
            #expect(open.octets == octets && !open.hasEnded)
            let ended = read(
                stream + InputPiece.header(0), cut: { Int.random(in: 1...largest, using: &random) },
                most: { 65536 })
            #expect(ended.octets == octets && ended.hasEnded)
        }
    }

    @Test("What follows the end means nothing")
    func behindTheEnd() {
        let stream: [UInt8] = [2, 0, 8, 9, 0, 0, 1, 0, 7]
        let (octets, hasEnded) = read(stream, cut: { 9 }, most: { 9 })
        #expect(octets == [8, 9] && hasEnded)
    }

    @Test("The longest piece")
    func longest() {
        let octets = [UInt8](repeating: 3, count: InputPiece.longest)
        let end = read(
            InputPiece.header(octets.count) + octets, cut: { 4096 }, most: { 4096 })
        #expect(end.octets == octets)
    }
}
