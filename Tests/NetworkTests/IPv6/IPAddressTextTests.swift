// RFC 4291 §2.2 and RFC 5952: addresses as text, read and written.

import Testing

@testable import SwiftletNetwork

@Suite struct IPAddressTextTests {
    @Test(arguments: [
        ("2001:db8::1", "2001:db8::1"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("fe80::1:0:0:2", "fe80::1:0:0:2"),
        // §4.2.2: one group alone is written; §4.2.3: the longest run, of equals the first.
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("::ffff:10.0.2.15", "10.0.2.15"), ("10.0.2.15", "10.0.2.15"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ])
    func readAndWritten(text: String, canonical: String) {
        #expect(IPAddress(text)?.description == canonical)
    }

    @Test(arguments: [
        "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::",
        ":1::", "1:", "1:2:3:4:5:6:7:", "::1%eth0", " ::1", "::1 ", "::1.2.3", "::1.2.3.4.5",
        "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6:7:8::", "::ffff:256.0.0.1", "1.2.3", "2001:db8::/32",
        "00000::1",
    ])
    func refused(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func everyAddressSurvives() {
        var random = SeededRandom(seed: 52)
        var wrong: [IPAddress] = []
        for _ in 0..<5_000 {
            // Few bits, so that there are runs of zeros.
            var address = IPAddress(high: random.next() & random.next(), low: random.next())
            for _ in 0..<4 {
                let run: UInt64 = 0xFFFF << (random.next() % 4 * 16)
                if random.next() % 2 == 0 { address.high &= ~run } else { address.low &= ~run }
            }
            if IPAddress(address.description) != address { wrong.append(address) }
        }
        #expect(wrong.isEmpty)
    }

    @Test func socketAddresses() {
        #expect(SocketAddress(v6("::1"), port: 80).description == "[::1]:80")
        #expect(SocketAddress(v6("10.0.0.1"), port: 65535).description == "10.0.0.1:65535")
        #expect(SocketAddress(v6("fe80::1"), port: 0).description == "[fe80::1]:0")
    }
}
