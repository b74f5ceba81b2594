// The device's side of a packed virtqueue (virtio 1.2 §2.8).
//
// It has wrap counters as the specification writes them, a place and a bit, so that it shares no
// arithmetic with the driver.

extension DeviceQueue {
    static let available: UInt16 = 1 << 7
    static let used: UInt16 = 1 << 15

    /// The place in the ring of a count of descriptors, and the wrap counter there.
    private func place(_ count: UInt16) -> (place: UInt16, wrap: Bool) {
        (count % size, count / size % 2 == 0)
    }

    private func flags(_ place: UInt16) -> UInt16 {
        load16(descriptors + 16 * UInt64(place) + 14)
    }

    /// The buffer whose first descriptor is the `count`-th, if the driver has made it available.
    private func buffer(at count: UInt16) -> (id: UInt16, parts: [DeviceDescriptor])? {
        let start = place(count)
        let first = flags(start.place)
        guard (first & Self.available != 0) == start.wrap, (first & Self.used != 0) != start.wrap
        else { return nil }
        var parts: [DeviceDescriptor] = []
        while true {
            let position = place(count &+ UInt16(parts.count))
            parts.append(entry(position.place))
            guard flags(position.place) & 1 != 0, parts.count < Int(size) else {
                return (load16(descriptors + 16 * UInt64(position.place) + 12), parts)
            }
        }
    }

    var pendingPacked: Int {
        var count = seenIndex
        var buffers = 0
        while buffers < Int(size), let next = buffer(at: count) {
            buffers += 1
            count &+= UInt16(next.parts.count)
        }
        return buffers
    }

    mutating func takePacked() -> UInt16? {
        guard let next = buffer(at: seenIndex) else { return nil }
        seenIndex &+= UInt16(next.parts.count)
        taken[next.id] = next.parts
        return next.id
    }

    mutating func putPacked(_ id: UInt32, length: UInt32) {
        hidden.append((id, length, usedIndex))
        let parts = taken.removeValue(forKey: UInt16(truncatingIfNeeded: id))
        usedIndex &+= UInt16(parts?.count ?? 1)
    }

    /// Writes used descriptors, the first one's flags last, as a device does that batches.
    mutating func showPacked() {
        for next in hidden.reversed() {
            let position = place(next.position)
            let address = descriptors + 16 * UInt64(position.place)
            store32(next.length, address + 8)
            store16(UInt16(truncatingIfNeeded: next.id), address + 12)
            store16(position.wrap ? Self.available | Self.used : 0, address + 14)
        }
        hidden = []
    }

    func setAvailableEventPacked(_ index: UInt16) {
        let position = place(index)
        store16(position.place | (position.wrap ? 0x8000 : 0), used)
        // RING_EVENT_FLAGS_DESC
        store16(2, used + 2)
    }

    /// Would the device interrupt now, having gone from `old` to the present count (§2.8.10)?
    func wantsInterruptPacked(since old: UInt16) -> Bool {
        switch load16(available + 2) {
        case 0: return true
        case 2:
            let wish = load16(available)
            var count = old
            while count != usedIndex {
                let position = place(count)
                if position.place == wish & 0x7FFF, position.wrap == (wish >> 15 == 1) {
                    return true
                }
                count &+= 1
            }
            return false
        default: return false
        }
    }
}
