// A growing list of plain values that one object owns: an array without reference counting.

#if hasFeature(Embedded)
    /// For tables that every packet touches. It lives as long as the machine, so nothing frees it.
    struct PlainList<Element: BitwiseCopyable>: ~Copyable {
        private var storage: UnsafeMutablePointer<Element>?
        private var capacity = 0
        private(set) var count = 0

        init() {}

        subscript(_ index: Int) -> Element {
            @inline(__always) get {
                precondition(index >= 0 && index < count)
                return storage.unsafelyUnwrapped[index]
            }
            @inline(__always) set {
                precondition(index >= 0 && index < count)
                storage.unsafelyUnwrapped[index] = newValue
            }
        }

        @inline(__always)
        mutating func append(_ element: Element) {
            if count == capacity { grow() }
            storage.unsafelyUnwrapped[count] = element
            count &+= 1
        }

        @inline(__always)
        mutating func removeAll() { count = 0 }

        @inline(never)
        private mutating func grow() {
            let new = UnsafeMutablePointer<Element>.allocate(capacity: max(16, capacity &* 2))
            if let storage {
                UnsafeMutableRawPointer(new).copyMemory(
                    from: storage, byteCount: count * MemoryLayout<Element>.stride)
                storage.deallocate()
            }
            storage = new
            capacity = max(16, capacity &* 2)
        }
    }
#endif
