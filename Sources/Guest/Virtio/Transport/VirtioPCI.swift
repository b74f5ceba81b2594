// Virtio over PCI (§4.1).

import SwiftletMachine

/// To come.
public struct VirtioPCI {
    var deviceType: UInt32 { 0 }
    var status: VirtioStatus { [] }
    var configuration: RegisterWindow
    var configurationSize: UInt
    var configurationGeneration: UInt32 { 0 }
    func setStatus(_ status: VirtioStatus) {}
    func offeredFeatures() -> VirtioFeatures { [] }
    func acceptFeatures(_ features: VirtioFeatures) {}
    func maximumQueueSize(_ queue: UInt16) -> UInt32 { 0 }
    func enableQueue(
        _ queue: UInt16, size: UInt16, at addresses: QueueAddresses
    ) throws(VirtioError) -> QueueNotifier {
        throw VirtioError(.unsupported, "PCI")
    }
}
