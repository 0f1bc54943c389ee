/* Counts the guest instructions that qemu-user executes, and writes down the count whenever the program asks for it.
 *
 * A program asks by calling sched_yield(), which has no other use in a single-threaded program. Built as a plugin:
 *
 *     cc -shared -fPIC -O2 -o counter.so counter.c
 *     qemu-aarch64 -plugin ./counter.so,out=counts.txt PROGRAM
 *
 * Debian has no package with the header of qemu's plugins, so the used part of their API, version 1, is declared here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { API_VERSION = 1, INLINE_ADD_U64 = 0, SCHED_YIELD = 124 /* on aarch64 */ };

typedef uint64_t plugin_id;
struct block;

extern size_t qemu_plugin_tb_n_insns(const struct block *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct block *block, int operation, void *number, uint64_t by);
extern void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id id,
    void (*call)(plugin_id, unsigned int vcpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                 uint64_t, uint64_t));

EXPORT int qemu_plugin_version = API_VERSION;

static uint64_t executed;
static FILE *out;

/* The sum is only correct for one thread, because the additions are not atomic. */
static void on_translation(plugin_id id, struct block *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void on_system_call(plugin_id id, unsigned int vcpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                           uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)vcpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number == SCHED_YIELD) {
        fprintf(out, "%" PRIu64 "\n", executed);
        fflush(out);
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || !(out = fopen(argv[0] + 4, "w"))) {
        fprintf(stderr, "counter: expected out=FILE, a writable file\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    return 0;
}
