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
     than the record does, but for some signs; what is written besides asks for room */
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

static int by_key(const void *left, const void *right) {
  const struct member *a = left, *b = right;
  return compare_keys(a->key, a->key_bytes, b->key, b->key_bytes);
}

/* Whether the members have different keys; afterwards they stand in the order of these. */
static bool sorted(struct member *members, int64_t count) {
  int64_t i = 1;
  while (i < count && by_key(members + i - 1, members + i) < 0) i++;
  if (i >= count) return true;
  qsort(members, (size_t)count, sizeof *members, by_key);
  for (i = 1; i < count; i++)
    if (by_key(members + i - 1, members + i) == 0) return false;
  return true;
}

/* Write the open object or list, whose members are those from `first` on, where what was written for them began. */
static bool close_nested(struct reader *reader, uint8_t *start, int64_t first, bool object, struct value *value) {
  struct member *members = reader->members + first;
  int64_t count = reader->member_count - first, bytes = 2;
  for (int64_t i = 0; i < count; i++) bytes += members[i].key_json_bytes + members[i].json_bytes + 2;
  if (reader->arena_end - reader->free < bytes) {
    leave(reader, LEFT_SIZE);
    return false;
  }
  uint8_t *whole = reader->free, *to = whole;
  *to++ = object ? '{' : '[';
  for (int64_t i = 0; i < count; i++) {
    if (i) *to++ = ',';
    if (object) {
      memcpy(to, members[i].key_json, (size_t)members[i].key_json_bytes);
      to += members[i].key_json_bytes;
      *to++ = ':';
    }
    memcpy(to, members[i].json, (size_t)members[i].json_bytes);
    to += members[i].json_bytes;
  }
  *to++ = object ? '}' : ']';
  bytes = to - whole;
  memmove(start, whole, (size_t)bytes);
  reader->free = start + bytes;
  reader->member_count = first;
  value->kind = object ? OBJECT : ARRAY;
  value->text = value->json = start;
  value->text_bytes = value->json_bytes = (int32_t)bytes;
  return true;
}

static const uint8_t *read_nested(struct reader *reader, const uint8_t *place, const uint8_t *end,
                                  struct value *value, int depth) {
  if (depth >= MAX_DEPTH) return leave(reader, LEFT_DEPTH);
  bool object = *place == '{';
  uint8_t closing = object ? '}' : ']', *start = reader->free;
  int64_t first = reader->member_count;
  place = skip_blanks(place + 1, end);
  bool open = place >= end || *place != closing;
  if (!open) place++;
  while (open) {
    struct member member = {0};
    struct value inner;
    if (object) {
      struct value key;
      if (place >= end || *place != '"') return leave(reader, LEFT_SYNTAX);
      place = read_string(reader, place, end, &key);
      if (place == NULL) return NULL;
      member.key = key.text, member.key_bytes = key.text_bytes;
      member.key_json = key.json, member.key_json_bytes = key.json_bytes;
      place = skip_blanks(place, end);
      if (place >= end || *place != ':') return leave(reader, LEFT_SYNTAX);
      place = skip_blanks(place + 1, end);
    }
    place = read_value(reader, place, end, &inner, depth + 1);
    if (place == NULL) return NULL;
    /* its mark would have to go into every hash: see shape.c */
    if (inner.kind == EXACT) return leave(reader, LEFT_NUMBER);
    member.json = inner.json, member.json_bytes = inner.json_bytes;
    if (!add_member(reader, member)) return leave(reader, LEFT_SIZE);
    place = skip_blanks(place, end);
    if (place >= end) return leave(reader, LEFT_SYNTAX);
    open = *place == ',';
    if (!open && *place != closing) return leave(reader, LEFT_SYNTAX);
    place++;
    if (open) place = skip_blanks(place, end);
  }
  if (object && !sorted(reader->members + first, reader->member_count - first)) return leave(reader, LEFT_TWICE);
  return close_nested(reader, start, first, object, value) ? place : NULL;
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
