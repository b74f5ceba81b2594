// Records on disk, and who may change them at the same time.

import Foundation
import SwiftletBuild
import Synchronization
import SystemPackage
import Testing

@testable import SwiftletInstances

@Suite("Instance store")
struct StoreTests {
    @Test("Records come back as they were written")
    func records() throws {
        let temporary = try TemporaryStore()
        var configuration = InstanceConfiguration(name: "web", image: "/a b/ü")
        configuration.ports = ["127.0.0.1:8080:80", "53:53/udp"]
        configuration.environment = [.init(name: "A", value: "x=\"y\"\n")]
        configuration.arguments = ["two words", ""]
        configuration.restart = .onFailure(limit: 4)
        let claim = try temporary.store.create(configuration)
        configuration.created = claim.configuration.created
        #expect(try temporary.store.find("web").configuration == configuration)
        #expect(try temporary.store.find("web").isAlive)
        #expect(configuration.created > 1.7e9)
    }

    @Test("A name in use is refused, in words that say what holds it")
    func nameInUse() throws {
        let temporary = try TemporaryStore()
        var claim: ClaimedInstance? = try temporary.claim("web")
        let running = #expect(throws: ToolError.self) { try temporary.claim("web") }
        #expect(running?.message == "the name 'web' is in use by an instance that runs")
        #expect(running?.exitCode == 125)
        #expect(throws: ToolError.self) { try temporary.store.remove("web") }
        #expect(throws: ToolError.self) { try temporary.store.reclaim("web") }
        withExtendedLifetime(claim) {}
        claim = nil
        let ended = #expect(throws: ToolError.self) { try temporary.claim("web") }
        #expect(ended?.message == "the name 'web' is in use by an instance that has ended")
        try temporary.store.remove("web")
        _ = try temporary.claim("web")
    }

    @Test("Of many that want one name at once exactly one gets it")
    func race() async throws {
        let temporary = try TemporaryStore()
        let outcomes = await withTaskGroup(of: ClaimedInstance?.self) { group in
            for _ in 0..<20 { group.addTask { try? temporary.claim("web") } }
            return await group.reduce(into: [ClaimedInstance]()) { all, one in
                if let one { all.append(one) }
            }
        }
        #expect(outcomes.count == 1)
        #expect(try temporary.store.list().map(\.name) == ["web"])
    }

    @Test("Those who look do not disturb those who change")
    func lookers() async throws {
        let temporary = try TemporaryStore()
        let isOver = Atomic(false)
        async let looks: Void = {
            while !isOver.load(ordering: .relaxed) {
                _ = try temporary.store.list()
                // Locks of flock(2) are not fair: without a pause lookers could keep changes out.
                try await Task.sleep(for: .milliseconds(1))
            }
        }()
        for index in 0..<200 {
            let name = "web\(index % 3)"
            // Its lock is free again when the claim is gone.
            _ = try temporary.claim(name)
            try temporary.store.remove(name)
        }
        isOver.store(true, ordering: .relaxed)
        try await looks
        #expect(try temporary.store.list().isEmpty)
    }

    @Test("A supervisor that died without a word is known by its lock")
    func deadSupervisor() throws {
        let temporary = try TemporaryStore()
        var claim: ClaimedInstance? = try temporary.claim("web")
        var state = InstanceState()
        state.phase = .running
        // Our own number: taken for alive by whoever trusts numbers.
        state.supervisor = getpid()
        state.machine = getpid()
        let folder = try #require(claim?.folder)
        try folder.write(state, to: folder.state)
        #expect(try temporary.store.find("web").state.phase == .running)
        #expect(try temporary.store.find("web").machineProcess == nil)
        claim = nil
        let dead = try temporary.store.find("web")
        #expect(!dead.isAlive)
        #expect(dead.state.phase == .exited)
        #expect(dead.state.exitCode == 137)
        #expect(dead.state.reason == "its supervisor was killed, and the machine with it")
        #expect(dead.machineProcess == nil)
        #expect(!dead.tell(.kill))
        #expect(try temporary.store.reclaim("web").configuration.name == "web")
    }

    @Test("A damaged record hides no other instance, and can be removed")
    func damage() throws {
        let temporary = try TemporaryStore()
        for name in ["a", "b", "c"] { _ = try temporary.claim(name) }
        let root = temporary.store.root
        try FileSystem.write(Array("{".utf8), to: root.appending("b/instance.json"))
        try FileSystem.write(Array("{".utf8), to: root.appending("c/state.json"))
        #expect(try temporary.store.list().map(\.name) == ["a", "c"])
        #expect(throws: ToolError.self) { try temporary.store.find("b") }
        try temporary.store.remove("b")
        #expect(try temporary.store.find("c").state.phase == .exited)
    }

    @Test("What a killed command left behind is cleared away")
    func leftovers() throws {
        let temporary = try TemporaryStore()
        let root = temporary.store.root
        try FileSystem.makeFolder(root.appending(".new-web/x"))
        try FileSystem.makeFolder(root.appending(".gone-old"))
        let claim = try temporary.claim("web")
        #expect(try FileSystem.names(in: root) == [".lock", "web"])
        claim.abandon()
        #expect(try FileSystem.names(in: root) == [".lock"])
    }

    @Test("Without a name one is made up")
    func madeUp() throws {
        let temporary = try TemporaryStore()
        let names = try (0..<50).map { _ in try temporary.claim("").configuration.name }
        #expect(Set(names).count == 50)
    }

    @Test("The image is kept as it was, whatever becomes of the file, and goes with its instance")
    func keptImage() throws {
        let temporary = try TemporaryStore()
        let image = temporary.folder.appending("image")
        let first = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
        try FileSystem.write(first, to: image)
        let configuration = InstanceConfiguration(name: "one", image: image.string)
        let claim = try temporary.store.create(configuration, keepsImage: true)
        let kept = claim.folder.image(of: configuration)
        #expect(kept != image)
        // Written over in place, rebuilt, removed.
        let file = try FileDescriptor.open(image, .writeOnly)
        try file.closeAfter { _ = try file.writeAll([0, 1, 2, 3, 0xFF, 0xFF]) }
        #expect(try FileSystem.read(kept) == first)
        try FileSystem.write([1], to: image)
        FileSystem.remove(image)
        #expect(try FileSystem.read(kept) == first)
        claim.abandon()
        #expect(FileSystem.status(kept) == nil)

        #expect(throws: ToolError.self) {
            try temporary.store.create(configuration, keepsImage: true)
        }
        #expect(try FileSystem.names(in: temporary.store.root) == [".lock"])
        // One that is never started again takes the file itself.
        let passing = try temporary.store.create(configuration)
        #expect(passing.folder.image(of: configuration) == image)
    }

    @Test(
        "A record that is empty or damaged says so, hides no other, and can be removed",
        arguments: ["", "{", "[]", "null", "{\"name\": 7}"])
    func damaged(record: String) throws {
        let temporary = try TemporaryStore()
        let bad = try temporary.claim("bad").folder
        _ = try temporary.claim("good")
        try FileSystem.write(Array(record.utf8), to: bad.configuration)
        let error = #expect(throws: ToolError.self) { try temporary.store.find("bad") }
        #expect(error?.description.contains("is damaged") ?? false)
        #expect(error?.description.contains("swiftlet rm -f bad") ?? false)
        #expect(try temporary.store.list().map(\.name) == ["good"])
        try temporary.store.remove("bad")
        #expect(FileSystem.status(bad.path) == nil)
    }
}
