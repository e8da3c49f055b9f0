/* Reads one record's members into the fields of a plan. */
#ifndef PENSTOCK_RECORD_H
#define PENSTOCK_RECORD_H

#include "plan.h"
#include "reader.h"

#define MAX_OTHERS 16 /* members that are no field's; a record with more is left */

/* A member that is no field's: null, or dropped. */
struct other {
  const uint8_t *name, *json; /* json: as a canonical key */
  int32_t name_bytes, json_bytes;
  bool dropped;
};

struct record {
  const struct plan *plan;
  struct reader reader;
  struct value *values; /* one for each field */
  uint32_t generation;  /* tells the values of this record from those of the ones before */
  int32_t *next;        /* next[f + 1]: the field that came after field f the last time, or -1 */
  int32_t last;         /* the field before, or -1 */
  struct other others[MAX_OTHERS];
  int other_count;
  int64_t content_bytes; /* at most so many does its canonical form take */
};

/* False without memory; it can be freed all the same. */
bool record_begin(struct record *record, const struct plan *plan);
void record_free(struct record *record);

/* Read the record in [place, end). TAKEN when it was an object, all of it, with no value outside of the fields. */
enum left record_read(struct record *record, const uint8_t *place, const uint8_t *end);

/* Write the canonical form, for which there is room. Returns its end. */
uint8_t *record_write(struct record *record, uint8_t *to, bool tail);

/* The value of a field; NULL when it is absent or null. */
static inline const struct value *value_of(const struct record *record, int32_t field) {
  const struct value *value = &record->values[field];
  return value->generation == record->generation && value->kind > NIL ? value : NULL;
}

#endif
