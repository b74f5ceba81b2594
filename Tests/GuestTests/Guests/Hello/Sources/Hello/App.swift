// Says one line and ends with exit code 0.
import Swiftlet

@main
struct App {
    static func main() async {
        print("Hello from Swiftlet")
    }
}
