// What follows an opcode of x86-64, as a letter for each: Intel SDM volume 2, appendix A, tables A-2
// to A-4.
//
//     .  nothing                      j  displacement of 8 bits of a branch
//     M  ModRM                        J  displacement of 32 bits of a branch
//     B  ModRM, immediate of 8 bits   o  an address (MOV to and from a fixed one)
//     Z  ModRM, immediate of 16/32    G  ModRM, immediate of 8 bits if the instruction is TEST
//     b  immediate of 8 bits          H  ModRM, immediate of 16/32 bits if the instruction is TEST
//     w  immediate of 16 bits         r  ModRM that names two registers, whatever its mode says
//     z  immediate of 16/32 bits      e  immediates of 16 and 8 bits (ENTER)
//     v  immediate of 16/32/64 bits   x  no instruction in 64-bit mode, or a prefix or escape

/// The maps of opcodes without an encoding of their own for each instruction's length.
enum OpcodeMaps {
    /// Opcodes of one octet.
    static let primary = letters(
        """
        MMMMbzxxMMMMbzxx MMMMbzxxMMMMbzxx MMMMbzxxMMMMbzxx MMMMbzxxMMMMbzxx
        xxxxxxxxxxxxxxxx ................ xxxMxxxxzZbB.... jjjjjjjjjjjjjjjj
        BZxBMMMMMMMMMMMM ..........x..... oooo....bz...... bbbbbbbbvvvvvvvv
        BBw.xxBZe.w..bx. MMMMxxx.MMMMMMMM jjjjbbbbJJxj.... x.xx..GH......MM
        """)

    /// Opcodes that follow 0F.
    static let secondary = letters(
        """
        MMMMx.....x.xM.B MMMMMMMMMMMMMMMM rrrrxxxxMMMMMMMM ......x.xxxxxxxx
        MMMMMMMMMMMMMMMM MMMMMMMMMMMMMMMM MMMMMMMMMMMMMMMM BBBBMMM.MMxxMMMM
        JJJJJJJJJJJJJJJJ MMMMMMMMMMMMMMMM ...MBMMM...MBMMM MMMMMMMMMMBMMMMM
        MMBMBBBM........ MMMMMMMMMMMMMMMM MMMMMMMMMMMMMMMM MMMMMMMMMMMMMMMM
        """)

    /// The same opcodes after a VEX or EVEX prefix: all have a ModRM but VZEROUPPER and VZEROALL.
    static let secondaryVector = secondary.enumerated().map { opcode, letter in
        switch letter {
        case UInt8(ascii: "B"): letter
        default: opcode == 0x77 ? UInt8(ascii: ".") : UInt8(ascii: "M")
        }
    }

    private static func letters(_ text: String) -> [UInt8] {
        let letters = text.utf8.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\n") }
        precondition(letters.count == 256)
        return letters
    }
}
