// A list without what arrays do for being values: one that is static is there without code to make it, which
// each use of a static array would ask for first, and to empty one is to set a number.

#if hasFeature(Embedded)
    /// Elements in the order in which they were added, in the most memory that they have needed. What owns
    /// a list that does not live as long as the machine calls `free` at its end.
    struct PlainList<Element>: ~Copyable {
        private var storage: UnsafeMutablePointer<Element>?
        private var capacity: Int
        private(set) var count: Int

        @inline(__always)
        init() {
            storage = nil
            capacity = 0
            count = 0
        }

        @inline(__always) var isEmpty: Bool { count == 0 }
        @inline(__always) var indices: Range<Int> { Range(uncheckedBounds: (0, count)) }

        @inline(__always)
        fileprivate func place(_ index: Int) -> UnsafeMutablePointer<Element> {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
            return storage.unsafelyUnwrapped + index
        }

        subscript(index: Int) -> Element {
            @inline(__always) _read { yield place(index).pointee }
            @inline(__always) _modify { yield &place(index).pointee }
        }

        @inline(__always)
        mutating func append(_ element: Element) {
            if count == capacity { grow() }
            (storage.unsafelyUnwrapped + count).initialize(to: element)
            count += 1
        }

        mutating func insert(_ element: Element, at index: Int) {
            precondition(index >= 0 && index <= count)
            if count == capacity { grow() }
            let place = storage.unsafelyUnwrapped + index
            (place + 1).moveInitialize(from: place, count: count - index)
            place.initialize(to: element)
            count += 1
        }

        @inline(never)
        private mutating func grow() {
            let larger = max(capacity * 2, 8)
            let new = UnsafeMutablePointer<Element>.allocate(capacity: larger)
            if let storage {
                new.moveInitialize(from: storage, count: count)
                storage.deallocate()
            }
            storage = new
            capacity = larger
        }

        @discardableResult
        mutating func remove(at index: Int) -> Element {
            let place = place(index)
            let element = place.move()
            place.moveInitialize(from: place + 1, count: count - index - 1)
            count -= 1
            return element
        }

        mutating func removeAll() {
            storage?.deinitialize(count: count)
            count = 0
        }

        mutating func free() {
            removeAll()
            storage?.deallocate()
            storage = nil
            capacity = 0
        }

        func firstIndex(where isWanted: (Element) -> Bool) -> Int? {
            for index in indices where isWanted(self[index]) { return index }
            return nil
        }
    }
    extension PlainList where Element: AnyObject {
        /// An element that the list, or somebody else, holds longer than the caller needs it.
        @inline(__always)
        func unretained(_ index: Int) -> Unmanaged<Element> {
            UnsafeRawPointer(place(index)).load(as: Unmanaged<Element>.self)
        }

        func firstIndex(of element: Element) -> Int? {
            for index in indices where self[index] === element { return index }
            return nil
        }
    }

    extension Unmanaged {
        @inline(__always)
        func isSame(_ other: Unmanaged<Instance>) -> Bool { toOpaque() == other.toOpaque() }

        /// Shows the object, which somebody else holds meanwhile.
        @inline(__always)
        func borrowed<R>(_ body: (Instance) -> R) -> R { _withUnsafeGuaranteedRef(body) }

        /// The same, where the call may end by an error.
        @inline(__always)
        func with<R>(_ body: (Instance) throws(Errno) -> R) throws(Errno) -> R {
            try _withUnsafeGuaranteedRef { (instance) -> Result<R, Errno> in
                do throws(Errno) {
                    return .success(try body(instance))
                } catch {
                    return .failure(error)
                }
            }.get()
        }
    }
#endif
