// The smallest machine: it says hello and switches itself off.

import Swiftlet

@main
struct Hello {
    static func main() {
        print("Hello from Swiftlet")
    }
}
