#include "kernel.h"

/* Goes up with every change of the kernel, so that no older library is taken for this one: penstock.native.kernel.VERSION. */
EXPORTED int32_t penstock_kernel_version(void) { return 3; }
