// A QEMU TCG plugin that counts executed guest instructions, exactly, readable while it runs.
//
//     -plugin count.so,out=FILE[,mark=ADDRESS]…[,log=on][,profile=on]
//
// FILE becomes a shared mapping with the layout of `struct counts` below: another process reads
// the running totals from it at any moment, and it stays behind when QEMU is killed. `mark`
// notes the total at the first execution of the instruction at a guest virtual address.
// `log=on` writes both totals before each port output to QEMU's log (`-d plugin -D FILE`): with
// `-trace serial_write`, whose lines fall between, each octet on the console has its count,
// without a symbol of the guest's. `profile=on` also counts each instruction address, for a
// table of functions.
//
// What is counted: every instruction each time that it starts. TCG starts a `rep` string
// instruction once for each repetition and once more to find its counter at zero, so N + 1 times
// (a processor would call it one instruction); `repeats` holds these, so that both figures can be
// told. An instruction that faults counts at the fault and
// again when it is restarted. No register and no guest memory is read.
//
// The interface (version 1, QEMU 4.2 to 8.2) is declared here because distributions do not
// package its header. Specification: QEMU, docs/devel/tcg-plugins.rst.

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void plugin_block_translated(uint64_t id, struct qemu_plugin_tb *block);
typedef void plugin_instruction_executed(unsigned vcpu, void *context);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, plugin_block_translated *callback);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(
    const struct qemu_plugin_tb *block, size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
extern void qemu_plugin_outs(const char *text);
extern void qemu_plugin_register_vcpu_insn_exec_cb(
    struct qemu_plugin_insn *instruction, plugin_instruction_executed *callback,
    int register_access, void *context);
extern void qemu_plugin_register_vcpu_insn_exec_inline(
    struct qemu_plugin_insn *instruction, int operation, void *counter, uint64_t addend);

enum { no_registers = 0, add_u64 = 0 };
enum { mark_limit = 32, profile_slots = 1 << 20 };

/// An address and what was counted before its first execution. `total` is one too high, so that
/// 0 says: never executed.
struct mark {
    uint64_t address;
    uint64_t total;
    uint64_t repeats;
};

/// An address and how often it was executed. Address 0: unused.
struct entry {
    uint64_t address;
    uint64_t count;
};

/// The file. All numbers are 64-bit little endian; the runner's `InstructionCounts` reads it.
struct counts {
    uint64_t total;
    uint64_t repeats;
    uint64_t mark_count;
    uint64_t profile_dropped;
    /// The first `hlt`, wherever it is: the guest's first idle moment.
    struct mark halt;
    uint64_t reserved;
    struct mark marks[mark_limit];
    /// Executions of each address: a hash table, only with `profile=on`.
    struct entry profile[];
};

EXPORT int qemu_plugin_version = 1;

static struct counts *counts;
static bool profiling, logging;

/// QEMU runs an instruction's callbacks before its additions: the total does not hold it yet.
static void reached(unsigned vcpu, void *context) {
    (void)vcpu;
    struct mark *mark = context;
    if (mark->total != 0) return;
    mark->total = counts->total + 1;
    mark->repeats = counts->repeats;
}

static void port_output(unsigned vcpu, void *context) {
    (void)vcpu;
    (void)context;
    char line[64];
    snprintf(line, sizeof line, "out %" PRIu64 " %" PRIu64 "\n", counts->total, counts->repeats);
    qemu_plugin_outs(line);
}

static bool is_prefix(uint8_t byte) {
    return byte == 0x66 || byte == 0x67 || byte == 0xf2 || byte == 0xf3 || (byte & 0xf0) == 0x40;
}

struct kind {
    bool repeats, outputs, halts;
};

static struct kind kind_of(const struct qemu_plugin_insn *instruction) {
    const uint8_t *bytes = qemu_plugin_insn_data(instruction);
    size_t at = 0, size = qemu_plugin_insn_size(instruction);
    bool repeated = false;
    for (; at < size && is_prefix(bytes[at]); at++)
        repeated |= bytes[at] == 0xf2 || bytes[at] == 0xf3;
    uint8_t opcode = at < size ? bytes[at] : 0;
    bool string = (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
        (opcode >= 0xaa && opcode <= 0xaf);
    return (struct kind){
        .repeats = repeated && string,
        .outputs = opcode == 0x6e || opcode == 0x6f || (opcode & 0xf6) == 0xe6,
        .halts = opcode == 0xf4,
    };
}

static struct entry *profile_entry(uint64_t address) {
    uint64_t slot = (address * 0x9e3779b97f4a7c15u) >> 44;
    for (unsigned probes = 0; probes < 64; probes++, slot = (slot + 1) & (profile_slots - 1)) {
        struct entry *entry = &counts->profile[slot];
        if (entry->address == 0) entry->address = address;
        if (entry->address == address) return entry;
    }
    return NULL;
}

static void call(
    struct qemu_plugin_insn *instruction, plugin_instruction_executed *callback, void *context) {
    qemu_plugin_register_vcpu_insn_exec_cb(instruction, callback, no_registers, context);
}

static void add(struct qemu_plugin_insn *instruction, uint64_t *counter) {
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, add_u64, counter, 1);
}

static void block_translated(uint64_t id, struct qemu_plugin_tb *block) {
    (void)id;
    for (size_t i = 0, n = qemu_plugin_tb_n_insns(block); i < n; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(instruction);
        struct kind kind = kind_of(instruction);
        for (uint64_t m = 0; m < counts->mark_count; m++)
            if (counts->marks[m].address == address)
                call(instruction, reached, &counts->marks[m]);
        if (kind.halts) call(instruction, reached, &counts->halt);
        if (kind.outputs && logging) call(instruction, port_output, NULL);
        add(instruction, &counts->total);
        if (kind.repeats) add(instruction, &counts->repeats);
        if (!profiling) continue;
        struct entry *entry = profile_entry(address);
        add(instruction, entry ? &entry->count : &counts->profile_dropped);
    }
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    (void)info;
    struct mark marks[mark_limit];
    unsigned mark_count = 0;
    const char *out = NULL;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = argv[i] + 4;
        } else if (strncmp(argv[i], "mark=", 5) == 0 && mark_count < mark_limit) {
            marks[mark_count++] = (struct mark){.address = strtoull(argv[i] + 5, NULL, 0)};
        } else if (strcmp(argv[i], "log=on") == 0) {
            logging = true;
        } else if (strcmp(argv[i], "profile=on") == 0) {
            profiling = true;
        } else {
            fprintf(stderr, "count: cannot use the option '%s'\n", argv[i]);
            return -1;
        }
    }
    size_t size = sizeof(struct counts) + (profiling ? profile_slots * sizeof(struct entry) : 0);
    int file = out ? open(out, O_RDWR | O_CREAT | O_TRUNC, 0644) : -1;
    if (file < 0 || ftruncate(file, (off_t)size) != 0) {
        fprintf(stderr, "count: cannot write out=FILE\n");
        return -1;
    }
    counts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (counts == MAP_FAILED) return -1;
    memcpy(counts->marks, marks, mark_count * sizeof(struct mark));
    counts->mark_count = mark_count;
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    return 0;
}
