// Numbers the lines of its standard input: `swiftlet run -i Examples/Lines < FILE`.

import Swiftlet

@main
struct Lines {
    static func main() async {
        var number = 0
        for await line in StandardInput.lines() {
            number += 1
            print("\(number) \(line)")
        }
    }
}
