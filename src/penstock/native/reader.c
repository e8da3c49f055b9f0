#include "reader.h"

#include <stdlib.h>

#include "numbers.h"

static bool more_members(struct reader *reader) {
  int64_t capacity = reader->member_capacity ? 2 * reader->member_capacity : 64;
  struct member *members = realloc(reader->members, (size_t)capacity * sizeof *members);
  if (members == NULL) return false;
  reader->members = members;
  reader->member_capacity = capacity;
  return true;
}

static bool add_member(struct reader *reader, struct member member) {
  if (reader->member_count == reader->member_capacity && !more_members(reader)) return false;
  reader->members[reader->member_count++] = member;
  return true;
}

bool reader_begin(struct reader *reader, int64_t bytes) {
  /* texts without escapes, these as canonical strings, and objects whose members were written before: each takes no more
     than the record does, but for some signs; all of them ask for room */
  int64_t wanted = 4 * bytes + 1024;
  if (UNLIKELY(reader->arena_end - reader->arena < wanted)) {
    if (wanted < 1 << 20) wanted *= 2;
    free(reader->arena);
    reader->arena = malloc((size_t)(wanted + SLACK));
    reader->arena_end = reader->arena == NULL ? NULL : reader->arena + wanted;
    if (reader->arena == NULL) return false;
  }
  if (reader->members == NULL && !more_members(reader)) return false;
  reader->free = reader->arena;
  reader->member_count = 0;
  reader->left = TAKEN;
  return true;
}

void reader_free(struct reader *reader) {
  free(reader->arena);
  free(reader->members);
}

static inline const uint8_t *key_of(const struct member *member) {
  return member->key_bytes < 0 ? member->json + member->key_bytes : member->json + 1;
}

static int by_key(const void *left, const void *right) {
  const struct member *a = left, *b = right;
  return compare_keys(key_of(a), abs(a->key_bytes), key_of(b), abs(b->key_bytes));
}

/* Write the open object anew, from `start` on, with its members, those from `first` on, in the order of their keys.
   False when two have one key. */
static bool arranged(struct reader *reader, uint8_t *start, int64_t first) {
  struct member *members = reader->members + first;
  int64_t count = reader->member_count - first, bytes = 1 + count;
  qsort(members, (size_t)count, sizeof *members, by_key);
  for (int64_t i = 0; i < count; i++) {
    if (i && by_key(members + i - 1, members + i) == 0) {
      leave(reader, LEFT_TWICE);
      return false;
    }
    bytes += members[i].bytes;
  }
  if (reader->arena_end - reader->free < bytes) {
    leave(reader, LEFT_SIZE);
    return false;
  }
  uint8_t *to = reader->free;
  for (int64_t i = 0; i < count; i++) {
    *to++ = i ? ',' : '{';
    memcpy(to, members[i].json, (size_t)members[i].bytes);
    to += members[i].bytes;
  }
  *to = '}';
  memmove(start, reader->free, (size_t)bytes);
  reader->free = start + bytes;
  return true;
}

/* Write `bytes` behind what is written. False when there is no room for them and two signs. */
static inline bool put(struct reader *reader, const uint8_t *from, int32_t bytes) {
  if (UNLIKELY(reader->arena_end - reader->free < (int64_t)bytes + 2)) {
    leave(reader, LEFT_SIZE);
    return false;
  }
  if (reader->free != from) memmove(reader->free, from, (size_t)bytes);
  reader->free += bytes;
  return true;
}

/* Read a key and its colon, and write both. Returns what follows them. */
static const uint8_t *read_key(struct reader *reader, const uint8_t *place, const uint8_t *end, struct member *member) {
  struct value key;
  uint8_t *start = reader->free;
  if (place >= end || *place != '"') return leave(reader, LEFT_SYNTAX);
  place = read_string(reader, place, end, &key);
  if (place == NULL) return NULL;
  bool escapes = reader->free != start; /* the key as text stands before it then */
  reader->free = start + (escapes ? key.text_bytes : 0);
  member->json = reader->free;
  member->key_bytes = escapes ? -key.text_bytes : key.text_bytes;
  if (!put(reader, key.json, key.json_bytes)) return NULL;
  *reader->free++ = ':';
  place = skip_blanks(place, end);
  if (place >= end || *place != ':') return leave(reader, LEFT_SYNTAX);
  return skip_blanks(place + 1, end);
}

/* An object or a list is written as it is read, so that of what is in a list nothing has to be remembered. */
static const uint8_t *read_nested(struct reader *reader, const uint8_t *place, const uint8_t *end,
                                  struct value *value, int depth) {
  if (depth >= MAX_DEPTH) return leave(reader, LEFT_DEPTH);
  bool object = *place == '{', in_order = true;
  uint8_t closing = object ? '}' : ']', *start = reader->free;
  int64_t first = reader->member_count;
  if (reader->arena_end - start < 2) return leave(reader, LEFT_SIZE);
  *reader->free++ = *place;
  place = skip_blanks(place + 1, end);
  bool open = place >= end || *place != closing;
  if (!open) place++, *reader->free++ = closing;
  while (open) {
    struct member member = {0};
    struct value inner;
    if (object && (place = read_key(reader, place, end, &member)) == NULL) return NULL;
    uint8_t *to = reader->free;
    place = read_value(reader, place, end, &inner, depth + 1);
    if (place == NULL) return NULL;
    /* its mark would have to go into every hash: see shape.c */
    if (inner.kind == EXACT) return leave(reader, LEFT_NUMBER);
    reader->free = to;
    if (!put(reader, inner.json, inner.json_bytes)) return NULL;
    if (object) {
      member.bytes = (int32_t)(reader->free - member.json);
      if (!add_member(reader, member)) return leave(reader, LEFT_SIZE);
      const struct member *added = reader->members + reader->member_count - 1;
      in_order &= member.key_bytes >= 0 && (reader->member_count == first + 1 || by_key(added - 1, added) < 0);
    }
    place = skip_blanks(place, end);
    if (place >= end) return leave(reader, LEFT_SYNTAX);
    open = *place == ',';
    if (!open && *place != closing) return leave(reader, LEFT_SYNTAX);
    *reader->free++ = *place++;
    if (open) place = skip_blanks(place, end);
  }
  if (!in_order && !arranged(reader, start, first)) return NULL;
  reader->member_count = first;
  value->kind = object ? OBJECT : ARRAY;
  value->text = value->json = start;
  value->text_bytes = value->json_bytes = (int32_t)(reader->free - start);
  return place;
}

static const uint8_t *read_word(struct reader *reader, const uint8_t *place, const uint8_t *end,
                                struct value *value) {
  int bytes = 4;
  if (end - place >= 4 && memcmp(place, "null", 4) == 0)
    value->kind = NIL;
  else if (end - place >= 4 && memcmp(place, "true", 4) == 0)
    value->kind = YES;
  else if (end - place >= 5 && memcmp(place, "false", 5) == 0)
    value->kind = NO, bytes = 5;
  else
    return leave(reader, LEFT_SYNTAX);
  value->text = value->json = place;
  value->text_bytes = value->json_bytes = bytes;
  return place + bytes;
}

const uint8_t *read_value(struct reader *reader, const uint8_t *place, const uint8_t *end, struct value *value,
                          int depth) {
  if (UNLIKELY(place >= end)) return leave(reader, LEFT_SYNTAX);
  switch (*place) {
    case '"': return read_string(reader, place, end, value);
    case '{': case '[': return read_nested(reader, place, end, value, depth);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
      return read_number(reader, place, end, value);
    default: return read_word(reader, place, end, value);
  }
}
