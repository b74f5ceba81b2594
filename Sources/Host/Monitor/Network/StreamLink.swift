// Frames over a stream socket, each behind its length in four octets, the highest first: what the
// user network speaks, and QEMU's `-netdev stream`.

import CSwiftletKVM
import Glibc

/// One end of such a socket. A frame that came in part waits for its rest, in both directions.
final class StreamLink {
    /// The longest frame that is taken: an IP packet of 64 KiB and its Ethernet header.
    private static let longestFrame = 65536 + 18
    private static let lengthSize = 4
    private static let capacity = 2 * (longestFrame + lengthSize)

    let file: Int32
    /// Octets that have come: those from `start` to `end`.
    private let input = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    private var start = 0
    private var end = 0
    /// What is left of a frame that the socket took in part.
    private let output = UnsafeMutableRawPointer.allocate(
        byteCount: longestFrame + lengthSize, alignment: 16)
    private var outputStart = 0
    private var outputEnd = 0
    /// The other side broke the protocol, or has gone.
    private var isBroken = false

    /// - Parameter file: a connected, non-blocking stream socket.
    init(_ file: Int32) {
        self.file = file
    }

    deinit {
        input.deallocate()
        output.deallocate()
    }

    /// The length of the frame at `start`; nil if it has not come whole.
    private var frameLength: Int? {
        guard end - start >= Self.lengthSize else { return nil }
        let length = Int(
            UInt32(bigEndian: (input + start).loadUnaligned(as: UInt32.self)))
        guard length <= Self.longestFrame else {
            isBroken = true
            return nil
        }
        return end - start - Self.lengthSize >= length ? length : nil
    }

    /// Whether a whole frame has been read already.
    var hasFrame: Bool { !isBroken && frameLength != nil }

    // MARK: To the host

    func send(_ vectors: UnsafeMutablePointer<iovec>, count: Int) {
        guard flush() else { return }
        // The frame without its virtio header, whose vector serves for the length.
        var length = 0
        for index in 1..<count { length += vectors[index].iov_len }
        guard length <= Self.longestFrame else { return }
        var prefix = UInt32(length).bigEndian
        let sent = withUnsafeMutableBytes(of: &prefix) { prefix in
            vectors[0] = iovec(iov_base: prefix.baseAddress, iov_len: Self.lengthSize)
            let sent = write(vectors, count: count)
            if sent > 0, sent < length + Self.lengthSize { keep(vectors, count, from: sent) }
            return sent
        }
        if sent < 0, errno != EAGAIN { isBroken = true }
    }

    private func write(_ vectors: UnsafeMutablePointer<iovec>, count: Int) -> Int {
        var message = msghdr()
        message.msg_iov = vectors
        message.msg_iovlen = count
        while true {
            let sent = sendmsg(file, &message, Int32(MSG_NOSIGNAL))
            if sent >= 0 || errno != EINTR { return sent }
        }
    }

    /// Copies what the socket did not take: the rest must follow, or no frame after it is found.
    private func keep(_ vectors: UnsafeMutablePointer<iovec>, _ count: Int, from sent: Int) {
        var skip = sent
        outputStart = 0
        outputEnd = 0
        for index in 0..<count {
            let length = vectors[index].iov_len
            let part = max(length - skip, 0)
            if part > 0 {
                (output + outputEnd).copyMemory(
                    from: vectors[index].iov_base + (length - part), byteCount: part)
                outputEnd += part
            }
            skip = max(skip - length, 0)
        }
    }

    /// Sends what was kept; false if some is left, and no other frame may follow yet.
    private func flush() -> Bool {
        while !isBroken, outputStart < outputEnd {
            var rest = iovec(
                iov_base: output + outputStart, iov_len: outputEnd - outputStart)
            let sent = write(&rest, count: 1)
            guard sent > 0 else {
                if errno != EAGAIN { isBroken = true }
                return false
            }
            outputStart += sent
        }
        return !isBroken
    }

    // MARK: From the host

    func receive(_ vectors: UnsafeMutablePointer<iovec>, count: Int) -> Int {
        _ = flush()
        if frameLength == nil { fill() }
        guard !isBroken, let length = frameLength else { return -1 }
        var source = input + start + Self.lengthSize
        var left = length
        var headerLeft = NetworkDevice.headerSize
        for index in 0..<count {
            // A header of zeros: nothing to be known of this frame.
            let header = min(headerLeft, vectors[index].iov_len)
            let part = min(left, vectors[index].iov_len - header)
            if header > 0 { memset(vectors[index].iov_base, 0, header) }
            if part > 0 {
                (vectors[index].iov_base + header).copyMemory(from: source, byteCount: part)
            }
            headerLeft -= header
            source += part
            left -= part
        }
        start += Self.lengthSize + length
        if start == end { (start, end) = (0, 0) }
        // A frame longer than its buffer is cut, as by a tap.
        return NetworkDevice.headerSize - headerLeft + length - left
    }

    /// Reads what has come behind what is there.
    private func fill() {
        if start > 0 {
            memmove(input, input + start, end - start)
            (start, end) = (0, end - start)
        }
        let count = read(file, input + end, Self.capacity - end)
        if count > 0 {
            end += count
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            isBroken = true
        }
    }
}
