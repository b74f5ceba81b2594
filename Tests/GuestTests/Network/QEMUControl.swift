// QEMU's own word on a machine's devices, by its machine protocol (QMP).

import Foundation
import Glibc
import SwiftletBuild
import SystemPackage

/// A connection to a QEMU that was started with `arguments`.
final class QEMUControl {
    private let file: Int32
    private var held: [UInt8] = []

    /// What has QEMU listen at `path`.
    static func arguments(_ path: FilePath) -> [String] {
        ["-qmp", "unix:\(path.string),server=on,wait=off"]
    }

    init(_ path: FilePath) throws {
        file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { place in
            for (index, octet) in path.string.utf8.prefix(place.count - 1).enumerated() {
                place[index] = octet
            }
        }
        let isConnected = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard isConnected else { throw MachineFailure(description: "QEMU does not listen") }
        // A QEMU that says nothing fails the test, and does not hold it up.
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(
            file, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        _ = try line()
        _ = try ask("qmp_capabilities")
    }

    deinit { close(file) }

    /// The features that a driver has agreed on with each virtio device, by the device's name.
    func guestFeatures() throws -> [String: String] {
        var features: [String: String] = [:]
        let devices = try ask("x-query-virtio") as? [[String: Any]] ?? []
        for device in devices {
            guard let path = device["path"] as? String, let name = device["name"] as? String,
                let status = try ask("x-query-virtio-status", ["path": path]) as? [String: Any],
                let agreed = status["guest-features"]
            else { continue }
            features[name] = "\(agreed)"
        }
        return features
    }

    private func ask(_ command: String, _ arguments: [String: String] = [:]) throws -> Any {
        let request = try JSONSerialization.data(
            withJSONObject: ["execute": command, "arguments": arguments])
        guard request.withUnsafeBytes({ write(file, $0.baseAddress, $0.count) }) == request.count
        else { throw MachineFailure(description: "QEMU takes no commands") }
        while true {
            // Events come in between.
            let answer = try JSONSerialization.jsonObject(with: Data(line())) as? [String: Any]
            if let result = answer?["return"] { return result }
            if let error = answer?["error"] {
                throw MachineFailure(description: "QEMU: \(command): \(error)")
            }
        }
    }

    private func line() throws -> [UInt8] {
        while true {
            if let end = held.firstIndex(of: UInt8(ascii: "\n")) {
                defer { held.removeFirst(end + 1) }
                return Array(held[..<end])
            }
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = read(file, &buffer, buffer.count)
            guard count > 0 else { throw MachineFailure(description: "QEMU does not answer") }
            held += buffer[..<count]
        }
    }
}
