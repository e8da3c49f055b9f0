/* Blocks of memory, used again: a fresh one costs a page fault for each 4 kB. */
#ifndef PENSTOCK_BLOCKS_H
#define PENSTOCK_BLOCKS_H

#include "kernel.h"

/* A block of at least `bytes`, which `capacity` says exactly; NULL without memory. */
void *block_take(int64_t bytes, int64_t *capacity);

/* Give a block back. NULL is none. */
void block_give(void *block);

/* Bytes that grow in a block. */
struct buffer {
  uint8_t *bytes;
  int64_t length, capacity;
};

/* Room for `more` bytes and SLACK. False without memory; what the buffer holds stays. */
bool buffer_grow(struct buffer *buffer, int64_t more);

static inline bool buffer_room(struct buffer *buffer, int64_t more) {
  return LIKELY(buffer->capacity >= buffer->length + more + SLACK) || buffer_grow(buffer, more);
}

#endif
