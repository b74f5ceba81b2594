// Runs a program to its end and hands back what it wrote.

import Foundation

/// Why a measurement could not be taken, in words for the report.
struct NotMeasured: Error, CustomStringConvertible {
    let description: String
    init(_ reason: String) { description = reason }
}

enum Command {
    struct Result {
        let status: Int32
        let output: String
        let errors: String
    }

    /// Looks a program up as a shell would, so that a missing one is named before it is needed.
    static func path(of program: String) throws(NotMeasured) -> URL {
        if program.contains("/") { return URL(filePath: program) }
        let search = ProcessInfo.processInfo.environment["PATH"] ?? ""
        for folder in (search + ":/usr/sbin:/sbin").split(separator: ":") {
            let candidate = URL(filePath: String(folder)).appending(path: program)
            if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
        }
        throw NotMeasured("the program '\(program)' is not installed")
    }

    static func process(_ arguments: [String]) throws(NotMeasured) -> Process {
        let process = Process()
        process.executableURL = try path(of: arguments[0])
        process.arguments = Array(arguments.dropFirst())
        process.standardInput = FileHandle.nullDevice
        return process
    }

    /// Runs `arguments` and waits; the status is the caller's to judge.
    static func result(_ arguments: [String], in folder: URL? = nil) throws(NotMeasured) -> Result {
        let process = try process(arguments)
        if let folder { process.currentDirectoryURL = folder }
        let output = Pipe()
        let errors = Scratch.makeFile()
        defer { try? FileManager.default.removeItem(at: errors) }
        process.standardOutput = output
        process.standardError = FileHandle(forWritingAtPath: errors.path)
        do { try process.run() } catch { throw NotMeasured("\(arguments[0]): \(error)") }
        let child = Cleanup.add { process.terminate() }
        defer { Cleanup.remove(child) }
        let written = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: String(decoding: written, as: UTF8.self),
            errors: (try? String(contentsOf: errors, encoding: .utf8)) ?? "")
    }

    /// Runs `arguments`, which must succeed, and returns their standard output.
    @discardableResult
    static func run(_ arguments: [String], in folder: URL? = nil) throws(NotMeasured) -> String {
        let result = try result(arguments, in: folder)
        guard result.status == 0 else {
            let reason = result.errors.split(separator: "\n").last ?? "status \(result.status)"
            throw NotMeasured("\(arguments.joined(separator: " ")): \(reason)")
        }
        return result.output
    }
}
