// The device's side of a virtqueue, in plain memory: as honest or not as a test wants it. Split is
// here, packed beside it.

/// What a descriptor says (virtio 1.2 §2.7.5).
struct DeviceDescriptor {
    var address: UInt64
    var length: UInt32
    var deviceWrites: Bool

    var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: UnsafeMutableRawPointer(bitPattern: UInt(address)), count: Int(length))
    }
}

struct DeviceQueue {
    var size: UInt16 = 0
    var isReady = false
    /// VIRTIO_F_RING_PACKED was agreed on.
    var isPacked = false
    /// What a packed queue's device has taken and not used, by id.
    var taken: [UInt16: [DeviceDescriptor]] = [:]
    /// What it has used and not shown.
    var hidden: [(id: UInt32, length: UInt32, position: UInt16)] = []
    var descriptors: UInt64 = 0
    var available: UInt64 = 0
    var used: UInt64 = 0
    /// The next available entry to take; of a packed queue a count of descriptors, as is the next.
    var seenIndex: UInt16 = 0
    /// The index that the driver sees.
    var usedIndex: UInt16 = 0

    func load16(_ address: UInt64) -> UInt16 {
        UnsafeRawPointer(bitPattern: UInt(address))!.load(as: UInt16.self)
    }

    func store16(_ value: UInt16, _ address: UInt64) {
        UnsafeMutableRawPointer(bitPattern: UInt(address))!.storeBytes(of: value, as: UInt16.self)
    }

    func store32(_ value: UInt32, _ address: UInt64) {
        UnsafeMutableRawPointer(bitPattern: UInt(address))!.storeBytes(of: value, as: UInt32.self)
    }

    var availableFlags: UInt16 { load16(available) }
    var availableIndex: UInt16 { load16(available + 2) }
    /// Descriptors that the driver has made available and the device has not taken.
    var pending: Int { isPacked ? pendingPacked : Int(availableIndex &- seenIndex) }
    var usedEvent: UInt16 { load16(available + 4 + 2 * UInt64(size)) }

    /// Asks to be notified when the available index passes `index`.
    func setAvailableEvent(_ index: UInt16) {
        if isPacked { return setAvailableEventPacked(index) }
        store16(index, used + 4 + 8 * UInt64(size))
    }

    /// Octets from `used` on that a device writes.
    var deviceArea: UInt64 { isPacked ? 4 : 6 + 8 * UInt64(size) }

    /// VIRTQ_USED_F_NO_NOTIFY
    func setNoNotify(_ value: Bool) {
        store16(value ? 1 : 0, isPacked ? used + 2 : used)
    }

    func descriptor(_ id: UInt16) -> DeviceDescriptor {
        if let parts = taken[id] { return parts[0] }
        return entry(id)
    }

    /// What stands in a place of the table, or of a packed queue's ring.
    func entry(_ place: UInt16) -> DeviceDescriptor {
        let entry = UnsafeRawPointer(bitPattern: UInt(descriptors) + UInt(place) * 16)!
        return DeviceDescriptor(
            address: entry.load(as: UInt64.self),
            length: entry.load(fromByteOffset: 8, as: UInt32.self),
            deviceWrites: entry.load(fromByteOffset: isPacked ? 14 : 12, as: UInt16.self) & 2 != 0)
    }

    /// A descriptor and those behind it.
    func chain(_ head: UInt16) -> [DeviceDescriptor] {
        if isPacked { return taken[head] ?? [] }
        var parts = [descriptor(head)]
        var id = head
        while parts.count < Int(size) {
            let entry = UnsafeRawPointer(bitPattern: UInt(descriptors) + UInt(id) * 16)!
            guard entry.load(fromByteOffset: 12, as: UInt16.self) & 1 != 0 else { break }
            id = entry.load(fromByteOffset: 14, as: UInt16.self)
            parts.append(descriptor(id))
        }
        return parts
    }

    /// Takes the next available descriptor.
    mutating func take() -> UInt16? {
        if isPacked { return takePacked() }
        guard pending > 0 else { return nil }
        let id = load16(available + 4 + 2 * UInt64(seenIndex & (size - 1)))
        seenIndex &+= 1
        return id
    }

    /// Writes a used entry without showing it yet.
    mutating func put(_ id: UInt32, length: UInt32) {
        if isPacked { return putPacked(id, length: length) }
        let entry = used + 4 + 8 * UInt64(usedIndex & (size - 1))
        store32(id, entry)
        store32(length, entry + 4)
        usedIndex &+= 1
    }

    /// Shows the driver all used entries.
    mutating func show() {
        if isPacked { return showPacked() }
        store16(usedIndex, used + 2)
    }

    /// Would the device interrupt now, having gone from `old` to the present used index (§2.7.10)?
    func wantsInterrupt(since old: UInt16, eventIndex: Bool) -> Bool {
        if isPacked { return wantsInterruptPacked(since: old) }
        guard eventIndex else { return availableFlags & 1 == 0 }
        return usedIndex &- usedEvent &- 1 < usedIndex &- old
    }
}
