// RFC 1071: the fast checksum against the text of the RFC.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite struct InternetChecksumTests {
    @Test func rfc1071Section3Example() {
        var sum = InternetChecksum()
        let bytes: [UInt8] = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]
        sum.add(bytes.span.bytes)
        #expect(sum.folded == 0xDDF2)
        #expect(sum.checksum == 0x220D)
    }

    @Test func everyLengthAndAlignmentAgreesWithTheNaiveSum() {
        var random = SeededRandom(seed: 1071)
        let bytes = random.bytes(300)
        for start in 0..<9 {
            for end in start..<min(start + 270, 300) {
                var sum = InternetChecksum()
                sum.add(bytes.span.bytes.extracting(start..<end))
                #expect(sum.folded == naiveSum(bytes[start..<end]))
            }
        }
    }

    @Test func carriesAreNotLost() {
        for value: UInt8 in [0xFF, 0xFE, 0x80, 0x01] {
            for count in [8, 31, 32, 33, 64, 1460, 65_535] {
                let bytes = [UInt8](repeating: value, count: count)
                var sum = InternetChecksum()
                sum.add(bytes.span.bytes)
                #expect(sum.folded == naiveSum(bytes))
            }
        }
    }

    @Test func piecesAddUpToTheWhole() {
        var random = SeededRandom(seed: 2)
        let bytes = random.bytes(1000)
        for _ in 0..<100 {
            let cut = Int(random.next() % 500) * 2
            var sum = InternetChecksum()
            sum.add(bytes.span.bytes.extracting(0..<cut))
            sum.add(bytes.span.bytes.extracting(cut..<1000))
            #expect(sum.folded == naiveSum(bytes))
        }
    }

    @Test func pseudoHeaderOfRFC768() {
        var sum = InternetChecksum()
        let from = IPv4Address(192, 168, 0, 31)
        let to = IPv4Address(192, 168, 0, 30)
        sum.addPseudoHeader(
            from: IPAddress(from), to: IPAddress(to), protocol: 17, length: 10)
        #expect(sum.folded == naiveSum(Frames.pseudoHeader(from, to, 17, 10)))
    }
}
