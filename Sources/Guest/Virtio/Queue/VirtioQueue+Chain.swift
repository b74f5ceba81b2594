// Buffers of several descriptors (§2.7.5, §2.8.6), for devices whose requests have more parts than one.
//
// Only the head is offered, in flight and given back; the others are owned all the time, so a device
// that names one of them has broken a rule. They stay chained for good.

import CSwiftletMachine

extension VirtioQueue {
    /// Lets the device go on to `next` behind a descriptor that was described; both are owned.
    func link(_ descriptor: UInt16, to next: UInt16) {
        guard owns(descriptor), owns(next) else { return }
        let entry = descriptorTable &+ UInt(descriptor) &* 16
        // VIRTQ_DESC_F_NEXT is 1.
        swiftlet_store16(entry &+ 12, swiftlet_load16(entry &+ 12) | 1)
        swiftlet_store16(entry &+ 14, next)
    }
}
