/* A minimal TensorFlow Lite delegate as a shared library, for tests. It runs a node by copying the node's first input to
 * its first output, which is all that a RESHAPE does.
 *
 * The structs below are copied from tensorflow/lite/core/c/common.h, without the members that are not needed here. That
 * header keeps the order of the members, and appends new ones only at the end.
 *
 * The delegate runs the whole model, unless an option changes that: `take=nothing`, `fail=create`, `fail=silently`,
 * `fail=prepare`. Other options: `record`, a file to which every action appends a line; `say`, a text for stderr.
 * Compiled with -DIDLE, it runs nothing by default. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef IDLE
#define TAKES_ALL false
#else
#define TAKES_ALL true
#endif

enum { OK = 0, ERROR = 1 };

/* Without this flag, the runtime prepares the model's own operators first, which fails for unknown ones. */
enum { ALLOW_DYNAMIC_TENSORS = 1 };

typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
    int size;
    int data[];
} IntArray;

typedef struct {
    int type;
    void *data;
    IntArray *dims;
    struct {
        float scale;
        int32_t zero_point;
    } params;
    int allocation_type;
    size_t bytes;
    const void *allocation;
    const char *name;
    Delegate *delegate;
    int buffer_handle;
    bool data_is_stale;
    bool is_variable;
    struct {
        int type;
        void *params;
    } quantization;
    void *sparsity;
    const IntArray *dims_signature;
} Tensor;

typedef struct {
    IntArray *inputs;
    IntArray *outputs;
    IntArray *intermediates;
    IntArray *temporaries;
    void *user_data;
} Node;

typedef struct {
    void *(*init)(Context *, const char *, size_t);
    void (*free)(Context *, void *);
    int (*prepare)(Context *, Node *);
    int (*invoke)(Context *, Node *);
    const char *(*profiling_string)(const Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *registration_external;
    void *(*async_kernel)(Context *, Node *);
    uint64_t inplace_operator;
} Registration;

struct Context {
    size_t tensors_size;
    int (*get_execution_plan)(Context *, IntArray **);
    Tensor *tensors;
    void *impl;
    int (*resize_tensor)(Context *, Tensor *, IntArray *);
    void (*report_error)(Context *, const char *, ...);
    int (*add_tensors)(Context *, int, int *);
    int (*get_node_and_registration)(Context *, int, Node **, Registration **);
    int (*replace_nodes)(Context *, Registration, const IntArray *, Delegate *);
};

struct Delegate {
    void *data;
    int (*prepare)(Context *, Delegate *);
    int (*copy_from_buffer_handle)(Context *, Delegate *, int, Tensor *);
    int (*copy_to_buffer_handle)(Context *, Delegate *, int, Tensor *);
    void (*free_buffer_handle)(Context *, Delegate *, int *);
    int64_t flags;
    void *opaque_delegate_builder;
};

typedef struct {
    Delegate delegate;
    FILE *record;
    bool takes_all;
    bool fails_to_prepare;
} Plugin;

static void note(const Plugin *plugin, const char *key, const char *value) {
    if (plugin->record != NULL) {
        fprintf(plugin->record, "%s=%s\n", key, value);
        fflush(plugin->record);
    }
}

/* `buffer` points to a struct whose first member is the delegate. */
static void *kernel_init(Context *context, const char *buffer, size_t length) {
    (void)context, (void)length;
    return *(Delegate *const *)buffer;
}

static void kernel_free(Context *context, void *delegate) {
    (void)context;
    note(delegate, "kernel", "freed");
}

static int kernel_prepare(Context *context, Node *node) {
    (void)context, (void)node;
    return OK;
}

static int kernel_invoke(Context *context, Node *node) {
    const Tensor *from = &context->tensors[node->inputs->data[0]];
    Tensor *to = &context->tensors[node->outputs->data[0]];
    if (from->bytes != to->bytes) return ERROR;
    memcpy(to->data, from->data, from->bytes);
    note(node->user_data, "kernel", "ran");
    return OK;
}

static int delegate_prepare(Context *context, Delegate *delegate) {
    const Plugin *plugin = (const Plugin *)delegate;
    const Registration kernel = {.init = kernel_init,
                                 .free = kernel_free,
                                 .prepare = kernel_prepare,
                                 .invoke = kernel_invoke,
                                 .custom_name = "copy",
                                 .version = 1};
    IntArray *plan;
    if (plugin->fails_to_prepare) {
        context->report_error(context, "the plugin cannot\nuse this model");
        return ERROR;
    }
    if (!plugin->takes_all) return OK;
    if (context->get_execution_plan(context, &plan) != OK) return ERROR;
    return context->replace_nodes(context, kernel, plan, delegate);
}

static bool is_option(const char *key, const char *value, const char *expected_key, const char *expected_value) {
    return strcmp(key, expected_key) == 0 && strcmp(value, expected_value) == 0;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
    Plugin *plugin = (Plugin *)delegate;
    if (plugin == NULL) return;
    note(plugin, "delegate", "destroyed");
    if (plugin->record != NULL) fclose(plugin->record);
    free(plugin);
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report_error)(const char *)) {
    Plugin *plugin = calloc(1, sizeof *plugin);
    plugin->delegate.prepare = delegate_prepare;
    plugin->delegate.flags = ALLOW_DYNAMIC_TENSORS;
    plugin->takes_all = TAKES_ALL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i], "record") == 0) plugin->record = fopen(values[i], "a");
    for (size_t i = 0; i < count; i++) {
        note(plugin, keys[i], values[i]);
        if (strcmp(keys[i], "say") == 0) fprintf(stderr, "%s\n", values[i]);
        if (is_option(keys[i], values[i], "take", "nothing")) plugin->takes_all = false;
        if (is_option(keys[i], values[i], "fail", "prepare")) plugin->fails_to_prepare = true;
        if (is_option(keys[i], values[i], "fail", "create")) report_error("the plugin found\nno device");
        if (is_option(keys[i], values[i], "fail", "create") || is_option(keys[i], values[i], "fail", "silently")) {
            tflite_plugin_destroy_delegate(&plugin->delegate);
            return NULL;
        }
    }
    return &plugin->delegate;
}
