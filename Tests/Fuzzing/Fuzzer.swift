// What libFuzzer calls. SWIFTLET_FUZZ_TARGET names the target; SWIFTLET_FUZZ_SEEDS, if it is set, a
// folder into which its seeds are written first. Tests/Fuzzing/run builds and starts all of this.

import Glibc
import SwiftletTestSupport

private let targets: [any FuzzTarget.Type] = [
    NetworkFuzzing.self, DHCPFuzzing.self, DHCPv6Fuzzing.self, DNSAnswerFuzzing.self,
    DNSResolverFuzzing.self, RequestParserFuzzing.self, ChunkedDecoderFuzzing.self,
    ConnectionFuzzing.self,
    ResponseParserFuzzing.self, ClientFuzzing.self, CommandLineFuzzing.self,
    FileArchiveFuzzing.self, ELFFuzzing.self,
    ProgramFuzzing.self, VirtioFuzzing.self, PackedVirtioFuzzing.self, DeviceFuzzing.self,
    CallFuzzing.self, MonitorImageFuzzing.self, MonitorOptionsFuzzing.self, UserNetworkFuzzing.self,
]

private func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

private let target: (any FuzzTarget.Type)? = {
    let name = environment("SWIFTLET_FUZZ_TARGET")
    return targets.first { $0.name == name }
}()

@_cdecl("LLVMFuzzerInitialize")
public func initializeFuzzer(_ count: UnsafeRawPointer?, _ arguments: UnsafeRawPointer?) -> CInt {
    guard let target else {
        print(targets.map { $0.name }.joined(separator: "\n"))
        exit(2)
    }
    let seeds = target.seeds
    guard let folder = environment("SWIFTLET_FUZZ_SEEDS") else { return 0 }
    for (index, seed) in seeds.enumerated() {
        guard let file = fopen("\(folder)/seed-\(index)", "w") else { continue }
        fwrite(seed, 1, seed.count, file)
        fclose(file)
    }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ octets: UnsafeRawPointer?, _ count: Int) -> CInt {
    target?.run(UnsafeRawBufferPointer(start: octets, count: count).bytes)
    return 0
}
