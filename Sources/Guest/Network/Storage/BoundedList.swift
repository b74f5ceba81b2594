// A short list of plain values that never holds more than it has places for.

/// A list whose storage is part of itself: nothing is allocated, and nothing has to be freed.
struct BoundedList<let most: Int, Element: BitwiseCopyable>: ~Copyable {
    private var storage: InlineArray<most, Element>
    private(set) var count = 0

    /// An empty list; what its places hold until they are used is of no consequence.
    init(filler: Element) {
        storage = InlineArray(repeating: filler)
    }

    var isFull: Bool { count >= most }

    /// The element at an index below `count`.
    subscript(_ index: Int) -> Element {
        get { storage[index] }
        set { storage[index] = newValue }
    }

    /// Adds an element, unless the list is full.
    mutating func append(_ element: Element) {
        guard count < most else { return }
        storage[count] = element
        count &+= 1
    }

    /// Takes an element out; those behind it move up.
    mutating func remove(at index: Int) {
        guard index >= 0, index < count else { return }
        count &-= 1
        for place in index..<count { storage[place] = storage[place &+ 1] }
    }
}
