// Static Linux programs, built by the compilers of this machine.

import SystemPackage
import Testing

@testable import SwiftletBuild

/// A compiler and what it makes of a small program, which ends with exit code 7.
enum SampleProgram: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case glibc, glibcPIE, glibcStripped, musl, muslStripped, go, swift

    var testDescription: String { rawValue }

    private var compiler: String {
        switch self {
        case .glibc, .glibcPIE, .glibcStripped: "gcc"
        case .musl, .muslStripped: "musl-gcc"
        case .go: "go"
        case .swift: "swiftc"
        }
    }

    static var isProcessorRight: Bool {
        #if arch(x86_64)
            true
        #else
            false
        #endif
    }

    var isAvailable: Bool { Self.isProcessorRight && FileSystem.findProgram(compiler) != nil }

    static var available: [SampleProgram] { allCases.filter(\.isAvailable) }

    /// Threads, timers, files and a signal handler, whose frame the kernel makes and takes back.
    private static let sourceInC = """
        #include <pthread.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/wait.h>
        #include <time.h>
        #include <unistd.h>
        static volatile sig_atomic_t caught;
        static void handler(int number) { caught = number; }
        static void *work(void *argument) {
            struct timespec moment = { 0, 1000000 };
            for (int i = 0; i < 5; i++) nanosleep(&moment, NULL);
            return argument;
        }
        int main(void) {
            pthread_t threads[4];
            signal(SIGUSR1, handler);
            raise(SIGUSR1);
            for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)i);
            long sum = 0;
            for (int i = 0; i < 4; i++) {
                void *result;
                pthread_join(threads[i], &result);
                sum += (long)result;
            }
            pid_t child = fork();
            if (child == 0) _exit(5);
            int status = 0;
            waitpid(child, &status, 0);
            char name[] = "/tmp/swiftlet-XXXXXX";
            int file = mkstemp(name);
            if (file < 0 || write(file, "four", 4) != 4 || close(file) != 0) return 1;
            FILE *stream = fopen(name, "r");
            char text[8] = { 0 };
            if (!stream || fread(text, 1, 7, stream) != 4) return 2;
            fclose(stream);
            unlink(name);
            printf("%d %ld %d %s\\n", caught == SIGUSR1, sum, WEXITSTATUS(status), text);
            return 7;
        }
        """

    private static let sourceInGo = """
        package main
        import ("fmt"; "io"; "net"; "os"; "time")
        func main() {
            listener, err := net.Listen("tcp", "127.0.0.1:0")
            if err != nil { panic(err) }
            go func() { c, _ := listener.Accept(); c.Write([]byte("four")); c.Close() }()
            connection, err := net.Dial("tcp", listener.Addr().String())
            if err != nil { panic(err) }
            text, _ := io.ReadAll(connection)
            time.Sleep(time.Millisecond)
            sum := make(chan int)
            for i := 0; i < 4; i++ { go func(i int) { sum <- i }(i) }
            fmt.Println(1, <-sum + <-sum + <-sum + <-sum, 5, string(text))
            os.Exit(7)
        }
        """

    private static let sourceInSwift = """
        import Glibc
        let text = String(["r", "u", "o", "f"].reversed().joined())
        print(1, (0..<4).reduce(0, +), 5, text)
        exit(7)
        """

    /// What every sample prints.
    static let output = "1 6 5 four\n"

    /// Builds it in `folder`; its path.
    func build(in folder: FilePath) async throws -> FilePath {
        let program = folder.appending(rawValue)
        let source: FilePath
        let text: String
        switch self {
        case .go: (source, text) = (folder.appending("sample.go"), Self.sourceInGo)
        case .swift: (source, text) = (folder.appending("sample.swift"), Self.sourceInSwift)
        default: (source, text) = (folder.appending("\(rawValue).c"), Self.sourceInC)
        }
        try FileSystem.write(Array(text.utf8), to: source)
        let files = ["-o", program.string, source.string]
        let arguments: [String]
        switch self {
        case .glibc, .musl: arguments = ["-O2", "-static", "-pthread"] + files
        case .glibcPIE: arguments = ["-O2", "-static-pie", "-fPIE", "-pthread"] + files
        case .glibcStripped, .muslStripped:
            arguments = ["-O2", "-static", "-s", "-pthread"] + files
        case .go: arguments = ["build"] + files
        case .swift: arguments = ["-O", "-static-executable"] + files
        }
        let outcome = try await ProcessRunner.collect(
            compiler, arguments, in: folder,
            environment: [
                "CGO_ENABLED": "0", "GOFLAGS": "", "GO111MODULE": "off",
                "GOCACHE": folder.appending("cache").string,
            ])
        let messages = outcome.output + outcome.errorOutput
        try #require(outcome.succeeded, "\(messages)")
        return program
    }
}
