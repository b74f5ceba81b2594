// Finds the machine's virtio devices: on the command line (virtio-mmio) and on the PCI bus.

import SwiftletMachine

#if hasFeature(Embedded)
    /// Where devices are looked for.
    public enum VirtioBus {
        /// Calls `body` with each device of a type, until it returns true.
        ///
        /// - Parameter commandLine: the kernel's, with monitors' `virtio_mmio.device=` words.
        public static func find(
            _ type: VirtioDeviceType, commandLine: RawSpan, _ body: (VirtioTransport) -> Bool
        ) {
            var isDone = false
            VirtioMMIOParameters.find(in: commandLine) { parameters in
                guard !isDone, let device = open(parameters), device.deviceType == type else {
                    return
                }
                isDone = body(device)
            }
            if isDone { return }
            PCI.forEachFunction(.ports) { function in
                guard !isDone, function.vendor == 0x1AF4, let device = open(function, type) else {
                    return
                }
                isDone = body(device)
            }
        }

        @inline(never)
        private static func open(_ parameters: VirtioMMIOParameters) -> VirtioTransport? {
            _ = Platform.mapDevice(parameters.address, size: parameters.size)
            let registers = RegisterWindow(at: parameters.address)
            guard let device = try? VirtioMMIO(registers: registers, size: parameters.size),
                InterruptController.enable(globalInterrupt: parameters.interrupt)
            else { return nil }
            return .mmio(device)
        }

        @inline(never)
        private static func open(
            _ function: PCIFunction, _ type: VirtioDeviceType
        ) -> VirtioTransport? {
            // The type shows in the number (§4.1.2): others are left as they are.
            guard
                function.device == 0x1040 + UInt16(truncatingIfNeeded: type.rawValue)
                    || (function.device < 0x1040 && UInt32(function.subsystem) == type.rawValue)
            else { return nil }
            let message = InterruptMessage(vector: InterruptController.allocateVector())
            let device = try? VirtioPCI(function, message: message) { address, size in
                _ = Platform.mapDevice(address, size: size)
                return RegisterWindow(at: address)
            }
            return device.map { .pci($0) }
        }
    }
#endif
