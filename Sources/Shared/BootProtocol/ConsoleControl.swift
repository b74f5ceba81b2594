// What the host says to the guest on the console's input.
//
// The serial port carries the guest's output one way; the other way it carries single octets, as a
// terminal's keys with a meaning of their own. There is no other input yet: what stands below is
// obeyed wherever it comes, and every other octet is ignored.

/// Octets with a meaning on the console's input.
public enum ConsoleControl {
    /// Asks the application to finish: ETX, what a terminal sends for Ctrl-C. An image that listens
    /// to it says so in its header (`ImageHeader.listensForStop`).
    public static var stop: UInt8 { 0x03 }
}
