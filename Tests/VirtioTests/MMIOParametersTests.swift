// virtio_mmio.device= words on the command line.

import SwiftletMachine
import Testing

@testable import SwiftletVirtio

@Suite struct MMIOParametersTests {
    private func find(_ text: String) -> (found: [VirtioMMIOParameters], malformed: Int) {
        var found: [VirtioMMIOParameters] = []
        let bytes = Array(text.utf8)
        let malformed = VirtioMMIOParameters.find(in: bytes.span.bytes) { found.append($0) }
        return (found, malformed)
    }

    @Test func qemuWords() {
        let text =
            "ip=dhcp -- x virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=4K@0xd0000000:5"
        let (found, malformed) = find(text)
        #expect(malformed == 0)
        #expect(
            found == [
                VirtioMMIOParameters(
                    size: 512, address: GuestPhysicalAddress(0xFEB0_0E00), interrupt: 12),
                VirtioMMIOParameters(
                    size: 4096, address: GuestPhysicalAddress(0xD000_0000), interrupt: 5),
            ])
    }

    @Test func suffixesAndIdentifier() {
        let (found, malformed) = find(
            "virtio_mmio.device=0x1M@4096:0x20:3  virtio_mmio.device=1g@1:0")
        #expect(malformed == 0)
        #expect(found.count == 2)
        #expect(found.first?.size == 1 << 20)
        #expect(found.first?.interrupt == 32)
        #expect(found.last?.size == 1 << 30)
    }

    @Test(arguments: [
        "virtio_mmio.device=", "virtio_mmio.device=512", "virtio_mmio.device=512@",
        "virtio_mmio.device=512@0x", "virtio_mmio.device=512@0x10", "virtio_mmio.device=512@0x10:",
        "virtio_mmio.device=@0x10:1", "virtio_mmio.device=512@0x10:1x",
        "virtio_mmio.device=512@0x10:1:", "virtio_mmio.device=99999999999999999999@1:1",
        "virtio_mmio.device=512@0xfffffffffffffff0:1", "virtio_mmio.device=0@0x10:1",
        "virtio_mmio.device=512@0:1", "virtio_mmio.device=512@16:4294967296",
        "virtio_mmio.device=17179869184G@1:1", "virtio_mmio.device=KK@1:1",
    ])
    func malformedWords(_ text: String) {
        let (found, malformed) = find(text)
        #expect(found.isEmpty)
        #expect(malformed == 1)
    }

    @Test(arguments: [
        "", " ", "virtio_mmio.devic", "xvirtio_mmio.device=512@1:1", "virtio_mmio.device 512@1:1",
    ])
    func otherWords(_ text: String) {
        let (found, malformed) = find(text)
        #expect(found.isEmpty)
        #expect(malformed == 0)
    }
}
