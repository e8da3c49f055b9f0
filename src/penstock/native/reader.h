/* Reads one JSON text strictly after RFC 8259, and gives each value as text and in canonical form.

   The canonical form is that of DuckDB's json_normalize: no blanks, keys in the order of their bytes, the shortest
   spelling of each double, and only those escapes that RFC 8259 asks for. What is not sure to come out like that is
   left, with its reason, and never guessed. */
#ifndef PENSTOCK_READER_H
#define PENSTOCK_READER_H

#include "kernel.h"

#define MAX_DEPTH 100

/* A member of an object that is open, as it is written: its key, a colon and its value. */
struct member {
  const uint8_t *json;
  int32_t key_bytes; /* of the key as text; negative when that had escapes, and stands before `json` */
  int32_t bytes;
};

struct reader {
  const uint8_t *vector_end;               /* 16 bytes can be read from anywhere before it */
  uint8_t *arena, *free, *arena_end;       /* what is written anew of the record at hand */
  struct member *members;                  /* those of the objects that are open */
  int64_t member_count, member_capacity;
  enum left left;                          /* why the record is left, once something gave NULL or false */
};

/* Prepare for a record of `bytes`. False without memory. */
bool reader_begin(struct reader *reader, int64_t bytes);
void reader_free(struct reader *reader);

static inline const uint8_t *leave(struct reader *reader, enum left left) {
  reader->left = left;
  return NULL;
}

static inline const uint8_t *skip_blanks(const uint8_t *place, const uint8_t *end) {
  while (place < end && (*place == ' ' || *place == '\n' || *place == '\r' || *place == '\t')) place++;
  return place;
}

/* Read the value at `place`. Returns what follows it; NULL when the record is to be left. */
const uint8_t *read_value(struct reader *reader, const uint8_t *place, const uint8_t *end, struct value *value,
                          int depth);

/* Read the string whose opening quote is at `place`, likewise. */
const uint8_t *read_string(struct reader *reader, const uint8_t *place, const uint8_t *end, struct value *value);

/* `text` as a JSON string, quotes included. Returns the end; needs room for six times as much, and for two quotes. */
uint8_t *write_string(uint8_t *to, const uint8_t *text, int64_t bytes);

/* -1, 0 or 1 as the keys follow each other by their bytes. */
int compare_keys(const uint8_t *a, int64_t a_bytes, const uint8_t *b, int64_t b_bytes);

#endif
