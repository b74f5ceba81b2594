// Finds the machine's virtio devices: on the command line (virtio-mmio) and on the PCI bus.

import SwiftletBootProtocol
import SwiftletMachine

#if hasFeature(Embedded)
    /// Where devices are looked for.
    public enum VirtioBus {
        /// The first device of a type that can be driven; nil if there is none.
        ///
        /// - Parameter commandLine: the kernel's, with monitors' `virtio_mmio.device=` words.
        @inline(never)
        public static func find(
            _ type: VirtioDeviceType, commandLine: RawSpan
        ) -> VirtioTransport? {
            var words = CommandLineWords()
            while let word = words.next(in: commandLine) {
                guard case .setting(let key, let value) = word,
                    commandLine.equals(CommandLineKey.virtioDevice, in: key),
                    let setting = VirtioDeviceSetting(commandLine, in: value),
                    let device = open(setting), device.deviceType == type
                else { continue }
                return device
            }
            if BuiltInMonitor.isPresent { return nil }
            var found: VirtioTransport?
            PCI.forEachFunction(PCIConfigurationAccess()) { function in
                if found == nil, function.vendor == 0x1AF4 { found = open(function, type) }
            }
            return found
        }

        @inline(never)
        private static func open(_ setting: VirtioDeviceSetting) -> VirtioTransport? {
            let address = GuestPhysicalAddress(setting.address)
            _ = Platform.mapDevice(address, size: setting.size)
            guard
                let device = try? VirtioMMIO(
                    registers: RegisterWindow(at: address), size: setting.size),
                InterruptController.enable(globalInterrupt: setting.interrupt)
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
