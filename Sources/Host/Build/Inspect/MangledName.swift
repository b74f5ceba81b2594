// What a linker symbol's name says about the module it comes from.

/// Swift's mangled names (docs/ABI/Mangling.rst of the Swift repository), as far as modules go.
enum MangledName {
    /// The module that a symbol belongs to; C and assembly by the prefixes that they use.
    static func module(_ symbol: String) -> String {
        for prefix in ["$s", "$e", "_$s", "_$e"] where symbol.hasPrefix(prefix) {
            return swiftModule(symbol.utf8.dropFirst(prefix.utf8.count)) ?? "Swift"
        }
        if symbol.hasPrefix("swift_task") || symbol.hasPrefix("_ZN5swift")
            || symbol.hasPrefix("_swift_")
        {
            return "Swift runtime"
        }
        if symbol.hasPrefix("swiftlet_") { return "CSwiftletMachine" }
        if symbol.hasPrefix("swift_") { return "Swift runtime" }
        if symbol.hasPrefix("_Z") { return "C++ runtime" }
        return "C and assembly"
    }

    /// The first identifier of a mangled name, `6Module…`; nil where a standard type comes first
    /// (`Sa`, `s5Int32V` …), which is Swift's own module.
    private static func swiftModule(_ name: Substring.UTF8View) -> String? {
        var rest = name
        // Extensions and protocol conformances may begin with a standard type of another module.
        guard let first = rest.first, (0x31...0x39).contains(first) else {
            if rest.starts(with: "ScT".utf8) || rest.starts(with: "Sc".utf8) {
                return "_Concurrency"
            }
            return nil
        }
        var length = 0
        while let octet = rest.first, (0x30...0x39).contains(octet), length < 10_000 {
            length = length * 10 + Int(octet - 0x30)
            rest = rest.dropFirst()
        }
        guard length > 0, rest.count >= length else { return nil }
        return String(rest.prefix(length))
    }
}

extension Inspection {
    /// Devices and protocols by the words in mangled names that give them away.
    // Fragments of mangled names; `0B` stands for the "Virtio" of the module's name.
    static let knownDevices = [
        ("virtio-net", ["15NetworkReceiver", "SwiftletVirtio0B7Network"]),
        ("virtio-rng", ["SwiftletVirtio0B7Entropy"]),
        ("virtio-console", ["SwiftletVirtio0B7Console"]),
        ("virtio-mmio", ["SwiftletVirtio0B4MMIO"]), ("virtio-pci", ["SwiftletVirtio0B3PCI"]),
        ("serial console", ["SwiftletMachine7Console"]),
    ]
    static let knownProtocols = [
        ("Ethernet", ["8Ethernet", "8ARPCache"]), ("ARP", ["8ARPCache"]),
        ("IPv4", ["11IPv4Address", "10IPv4Header"]), ("ICMP", ["9ICMPError", "11ICMPMessage"]),
        ("UDP", ["11UDPSocketID", "Network3UDP"]), ("TCP", ["15TCPControlBlock"]),
        ("DHCPv4", ["9DHCPLease", "10DHCPClient"]),
        ("HTTP/1.1", ["SwiftletHTTP"]),
    ]

    /// Those of `known` that have a function in the image.
    static func found(_ known: [(String, [String])], in symbols: [ELFSymbol]) -> [String] {
        let functions = symbols.filter { $0.isFunction && $0.name.contains("Swiftlet") }.map(\.name)
        return known.filter { entry in
            entry.1.contains { word in functions.contains { $0.contains(word) } }
        }.map(\.0)
    }
}
