#include "blocks.h"

#include <stdatomic.h>
#include <stdlib.h>

#define HEADER 64 /* keeps what follows as aligned as Arrow wants it */
#define KEPT_BLOCKS 64
#define KEPT_BYTES (48 << 20)
#define SMALLEST_KEPT (64 << 10)

struct block {
  int64_t capacity;
};

static struct block *kept[KEPT_BLOCKS];
static int kept_blocks;
static int64_t kept_bytes;
static atomic_flag busy = ATOMIC_FLAG_INIT;

static void enter(void) {
  while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {
  }
}

static void leave(void) { atomic_flag_clear_explicit(&busy, memory_order_release); }

/* The smallest kept block that holds `bytes` without wasting three times as much. */
static struct block *kept_for(int64_t bytes) {
  int best = -1;
  for (int i = 0; i < kept_blocks; i++) {
    int64_t capacity = kept[i]->capacity;
    if (capacity >= bytes && capacity <= 4 * bytes + SMALLEST_KEPT && (best < 0 || capacity < kept[best]->capacity))
      best = i;
  }
  if (best < 0) return NULL;
  struct block *block = kept[best];
  kept[best] = kept[--kept_blocks];
  kept_bytes -= block->capacity;
  return block;
}

void *block_take(int64_t bytes, int64_t *capacity) {
  enter();
  struct block *block = kept_for(bytes);
  leave();
  if (block == NULL) {
    int64_t whole = (bytes + 2 * HEADER - 1) / HEADER * HEADER;
    block = bytes < 0 ? NULL : aligned_alloc(HEADER, (size_t)whole);
    if (block == NULL) return NULL;
    block->capacity = whole - HEADER;
  }
  *capacity = block->capacity;
  return (uint8_t *)block + HEADER;
}

void block_give(void *memory) {
  if (memory == NULL) return;
  struct block *block = (struct block *)((uint8_t *)memory - HEADER);
  enter();
  bool keep = block->capacity >= SMALLEST_KEPT && kept_blocks < KEPT_BLOCKS && kept_bytes + block->capacity <= KEPT_BYTES;
  if (keep) {
    kept[kept_blocks++] = block;
    kept_bytes += block->capacity;
  }
  leave();
  if (!keep) free(block);
}

bool buffer_grow(struct buffer *buffer, int64_t more) {
  int64_t wanted = buffer->length + more + SLACK, capacity;
  if (wanted < buffer->capacity + buffer->capacity / 2) wanted = buffer->capacity + buffer->capacity / 2;
  uint8_t *bytes = block_take(wanted, &capacity);
  if (bytes == NULL) return false;
  if (buffer->length) memcpy(bytes, buffer->bytes, (size_t)buffer->length);
  block_give(buffer->bytes);
  buffer->bytes = bytes;
  buffer->capacity = capacity;
  return true;
}
