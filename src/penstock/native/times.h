/* Days, times and UUIDs as texts spell them: what penstock.shape.types takes for one. */
#ifndef PENSTOCK_TIMES_H
#define PENSTOCK_TIMES_H

#include "kernel.h"

/* Days since 1970 of a text like 2026-11-29. */
bool date_of(const uint8_t *text, int32_t bytes, int64_t *days);

enum zone { WITHOUT_ZONE, WITH_ZONE };

/* Microseconds since 1970, in UTC where there is a zone, which there must be or must not be. Without one, a day may
   stand alone. With `cut`, digits behind the microseconds count for nothing; else there must be none. */
bool timestamp_of(const uint8_t *text, int32_t bytes, enum zone zone, bool cut, int64_t *microseconds);

/* The 16 bytes of a UUID with its dashes. */
bool uuid_of(const uint8_t *text, int32_t bytes, uint8_t *uuid);

#endif
