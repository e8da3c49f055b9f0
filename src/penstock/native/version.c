#include "kernel.h"

/* Goes up with every change of what Python calls, or of how arguments are laid out: penstock.native.kernel.VERSION. */
EXPORTED int32_t penstock_kernel_version(void) { return 1; }
