/* SHA-256 (FIPS 180-4) of many short messages, of each the first 128 bits of its hash. */
#ifndef PENSTOCK_SHA256_H
#define PENSTOCK_SHA256_H

#include "kernel.h"

#define MAX_WAITING 4

/* Messages wait until there are some: hashed side by side they take little more time than one. */
struct hashing {
  struct waiting {
    uint8_t *message;
    int64_t capacity, blocks;
    uint8_t *hash; /* where the 16 bytes go */
  } waiting[MAX_WAITING];
  int count;
  bool portable;
};

/* Where the next message is to be written, with room for `bytes` and SLACK; NULL without memory. */
uint8_t *hashing_room(struct hashing *hashing, int64_t bytes);

/* The message of `bytes` that was written there is whole: its hash goes to `hash`, at the latest at the finish. */
void hashing_add(struct hashing *hashing, int64_t bytes, uint8_t *hash);

/* Hash what waits. */
void hashing_finish(struct hashing *hashing);

void hashing_free(struct hashing *hashing);

#endif
