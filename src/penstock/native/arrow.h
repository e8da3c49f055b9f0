/* Columns as Arrow takes them, by its C data interface. */
#ifndef PENSTOCK_ARROW_H
#define PENSTOCK_ARROW_H

#include "blocks.h"

/* https://arrow.apache.org/docs/format/CDataInterface.html */
struct ArrowArray {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

/* The numbers are those of penstock.native.plan. */
enum type { TYPE_TEXT, TYPE_BIGINT, TYPE_DOUBLE, TYPE_BOOLEAN, TYPE_DATE, TYPE_TIMESTAMP, TYPE_TIMESTAMPTZ, TYPE_UUID,
            TYPE_JSON, TYPE_DECIMAL };

struct column {
  enum type type;
  uint8_t *valid;       /* a bit for each row */
  int32_t *offsets;     /* of texts */
  struct buffer values; /* bits, numbers, or the bytes of texts */
  int64_t nulls;
};

/* A value of a type without texts: an integer of any width, or 16 bytes. */
union fixed {
  int64_t integer;
  double number;
  __int128 wide;
  uint8_t bytes[16];
};

/* Bytes of each value; 0 for texts, and for truth values, which are bits. */
static inline int width_of(enum type type) {
  switch (type) {
    case TYPE_TEXT: case TYPE_JSON: case TYPE_BOOLEAN: return 0;
    case TYPE_DATE: return 4;
    case TYPE_UUID: case TYPE_DECIMAL: return 16;
    default: return 8;
  }
}

static inline bool is_text(enum type type) { return type == TYPE_TEXT || type == TYPE_JSON; }

/* An empty column with room for `rows`. False without memory; it can be freed all the same. */
bool column_begin(struct column *column, enum type type, int64_t rows);
void column_free(struct column *column);

/* Give `count` columns of `rows` each away as one array of structs. False without memory, and they are still ours. */
bool columns_hand_over(struct column *columns, int count, int64_t rows, struct ArrowArray *array);

static inline void set_bit(uint8_t *bits, int64_t place) { bits[place >> 3] |= (uint8_t)(1 << (place & 7)); }

#endif
