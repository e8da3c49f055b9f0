#include "record.h"

#include <stdlib.h>

#define MAX_OBJECTS 16                    /* nested in one object of a flat record; with more it is left */
#define MARK "\"\\u0000n"                 /* before a number that no double holds: penstock.shape.digits */
#define MARK_BYTES ((int)sizeof MARK - 1) /* and a quote behind it */

struct name {
  const uint8_t *bytes;
  int32_t length;
};

bool record_begin(struct record *record, const struct plan *plan) {
  size_t fields = (size_t)plan->given.field_count + 1;
  record->plan = plan;
  record->values = calloc(fields, sizeof *record->values);
  record->next = malloc(fields * sizeof *record->next);
  if (record->values == NULL || record->next == NULL) return false;
  memset(record->next, 0xFF, fields * sizeof *record->next);
  return true;
}

void record_free(struct record *record) {
  reader_free(&record->reader);
  free(record->values);
  free(record->next);
}

static bool same(struct name a, const uint8_t *bytes, int32_t length) {
  return a.length == length && memcmp(a.bytes, bytes, (size_t)length) == 0;
}

static bool is_other(const struct record *record, struct name name) {
  for (int i = 0; i < record->other_count; i++)
    if (same(name, record->others[i].name, record->others[i].name_bytes)) return true;
  return false;
}

static struct name name_of(const struct value *key) { return (struct name){key->text, key->text_bytes}; }

/* prefix_key, with an underscore for each point; without memory for it, a name of no bytes at NULL. */
static struct name flat_name(struct reader *reader, struct name prefix, struct name key) {
  uint8_t *start = reader->free, *to = start;
  if (reader->arena_end - start < prefix.length + key.length + 1) return (struct name){NULL, 0};
  if (prefix.bytes != NULL) {
    memcpy(to, prefix.bytes, (size_t)prefix.length);
    to += prefix.length;
    *to++ = '_';
  }
  for (int32_t i = 0; i < key.length; i++) *to++ = key.bytes[i] == '.' ? '_' : key.bytes[i];
  reader->free = to;
  return (struct name){start, (int32_t)(to - start)};
}

/* A member that is no field's: it is nothing, if it is null or dropped. */
static enum left add_other(struct record *record, struct name name, const struct value *key, enum kind kind) {
  struct reader *reader = &record->reader;
  bool flat = record->plan->given.flat;
  struct other other = {.name = name.bytes, .name_bytes = name.length, .json = key->json};
  other.json_bytes = key->json_bytes;
  other.dropped = flat && plan_drops(record->plan, name.bytes, name.length);
  if (!other.dropped && kind != NIL) return LEFT_UNKNOWN;
  if (record->other_count == MAX_OTHERS) return LEFT_UNKNOWN;
  if (is_other(record, name)) return LEFT_TWICE;
  if (flat) {
    if (reader->arena_end - reader->free < 6 * (int64_t)name.length + 2) return LEFT_SIZE;
    other.json = reader->free;
    reader->free = write_string(reader->free, name.bytes, name.length);
    other.json_bytes = (int32_t)(reader->free - other.json);
  }
  record->others[record->other_count++] = other;
  record->content_bytes += other.json_bytes + 6;
  return TAKEN;
}

static enum left add_value(struct record *record, const struct field *field, struct value *value) {
  if (field->roles & ROLE_DROPPED) {
    value->kind = ABSENT;
    return TAKEN;
  }
  if (value->kind == NIL) {
    /* nothing to place */
  } else if (!field->columned) {
    return LEFT_UNKNOWN;
  } else if (value->kind >= OBJECT && field->roles & ROLE_GUARDED) {
    return LEFT_LAYOUT;
  } else if (value->kind == EXACT && record->plan->given.raw) {
    return LEFT_NUMBER; /* its mark is in the hash, and not in the record that is kept */
  }
  record->content_bytes += field->json_bytes + value->json_bytes + MARK_BYTES + 2;
  return TAKEN;
}

/* The field whose key is at *place, which it goes behind, by what came last time; -1 when it is another one. */
static inline int32_t expected(struct record *record, const uint8_t **place, const uint8_t *end) {
  int32_t guess = record->next[record->last + 1];
  if (guess < 0) return -1;
  const struct field *field = &record->plan->fields[guess];
  const uint8_t *key = *place + 1;
  if (end - key <= field->name_bytes || key[field->name_bytes] != '"' ||
      memcmp(key, field->name, (size_t)field->name_bytes) != 0)
    return -1;
  *place = key + field->name_bytes + 1;
  return guess;
}

/* Read the members of an object, whose brace is behind us: the record's own, or in flat ones what `prefix` holds. */
static const uint8_t *read_members(struct record *record, const uint8_t *place, const uint8_t *end,
                                   struct name prefix, int depth) {
  const struct plan *plan = record->plan;
  struct reader *reader = &record->reader;
  struct name objects[MAX_OBJECTS];
  int object_count = 0;
  if (depth >= MAX_DEPTH) return leave(reader, LEFT_DEPTH);
  place = skip_blanks(place, end);
  if (place < end && *place == '}') return place + 1;
  for (;;) {
    if (UNLIKELY(place >= end || *place != '"')) return leave(reader, LEFT_SYNTAX);
    struct value key, other;
    struct name raw, name;
    int32_t field = depth == 0 ? expected(record, &place, end) : -1;
    if (LIKELY(field >= 0)) {
      raw = name = (struct name){plan->fields[field].name, plan->fields[field].name_bytes};
    } else {
      place = read_string(reader, place, end, &key);
      if (place == NULL) return NULL;
      raw = name = name_of(&key);
      if (plan->given.flat) name = flat_name(reader, prefix, raw);
      if (name.bytes == NULL) return leave(reader, LEFT_SIZE);
      field = plan_find(plan, name.bytes, name.length);
      bool expect = depth == 0 && field >= 0 && plan->fields[field].plain && same(raw, name.bytes, name.length);
      if (depth == 0) record->next[record->last + 1] = expect ? field : -1;
    }
    if (depth == 0) record->last = field;
    if (UNLIKELY(place >= end || *place != ':')) {
      place = skip_blanks(place, end);
      if (place >= end || *place != ':') return leave(reader, LEFT_SYNTAX);
    }
    place = skip_blanks(place + 1, end);
    for (int i = 0; i < object_count; i++)
      if (same(objects[i], raw.bytes, raw.length)) return leave(reader, LEFT_TWICE);
    struct value *value = field >= 0 ? &record->values[field] : &other;
    if (UNLIKELY(field >= 0 && value->generation == record->generation)) return leave(reader, LEFT_TWICE);
    bool dropped = field >= 0 ? plan->fields[field].roles & ROLE_DROPPED
                              : plan->given.dropped_count > 0 && plan_drops(plan, name.bytes, name.length);
    if (plan->given.flat && !dropped && place < end && *place == '{') {
      if (object_count == MAX_OBJECTS) return leave(reader, LEFT_LAYOUT);
      if (is_other(record, name)) return leave(reader, LEFT_TWICE);
      objects[object_count++] = raw;
      place = read_members(record, place + 1, end, name, depth + 1);
      if (place == NULL) return NULL;
    } else {
      place = read_value(reader, place, end, value, depth);
      if (UNLIKELY(place == NULL)) return NULL;
      value->generation = record->generation;
      enum left left = field >= 0 ? add_value(record, &plan->fields[field], value)
                                  : add_other(record, name, &key, value->kind);
      if (UNLIKELY(left != TAKEN)) return leave(reader, left);
    }
    place = skip_blanks(place, end);
    if (UNLIKELY(place >= end)) return leave(reader, LEFT_SYNTAX);
    if (*place == '}') return place + 1;
    if (UNLIKELY(*place != ',')) return leave(reader, LEFT_SYNTAX);
    place = skip_blanks(place + 1, end);
  }
}

enum left record_read(struct record *record, const uint8_t *place, const uint8_t *end) {
  record->generation++;
  record->last = -1;
  record->other_count = 0;
  record->content_bytes = 2;
  while (end > place && skip_blanks(end - 1, end) == end) end--;
  place = skip_blanks(place, end);
  if (place >= end || *place != '{') return LEFT_SYNTAX;
  place = read_members(record, place + 1, end, (struct name){NULL, 0}, 0);
  if (place == NULL) return record->reader.left;
  return place == end ? TAKEN : LEFT_SYNTAX;
}

static int by_name(const void *left, const void *right) {
  const struct other *a = left, *b = right;
  return compare_keys(a->name, a->name_bytes, b->name, b->name_bytes);
}

static uint8_t *write_other(uint8_t *to, const struct other *other) {
  if (other->dropped) return to;
  memcpy(to, other->json, (size_t)other->json_bytes);
  to += other->json_bytes;
  memcpy(to, ":null,", 6);
  return to + 6;
}

static uint8_t *write_value(uint8_t *to, const struct value *value, bool tail) {
  if (UNLIKELY(value->kind == EXACT)) {
    memcpy(to, MARK, MARK_BYTES);
    to += MARK_BYTES;
  }
  if (LIKELY(!tail))
    copy_over(to, value->json, value->json_bytes);
  else
    memcpy(to, value->json, (size_t)value->json_bytes);
  to += value->json_bytes;
  if (UNLIKELY(value->kind == EXACT)) *to++ = '"';
  return to;
}

uint8_t *record_write(struct record *record, uint8_t *to, bool tail) {
  const struct plan *plan = record->plan;
  const struct other *others = record->others;
  int count = record->other_count, written = 0;
  if (UNLIKELY(count > 1)) qsort(record->others, (size_t)count, sizeof *others, by_name);
  *to++ = '{';
  uint8_t *first = to;
  for (int32_t i = 0; i < plan->given.field_count; i++) {
    const struct value *value = &record->values[i];
    const struct field *field = &plan->fields[i];
    if (value->generation != record->generation || value->kind == ABSENT) continue;
    while (UNLIKELY(written < count) && compare_keys(others[written].name, others[written].name_bytes, field->name,
                                                     field->name_bytes) < 0)
      to = write_other(to, &others[written++]);
    copy_over(to, field->json, field->json_bytes);
    to = write_value(to + field->json_bytes, value, tail);
    *to++ = ',';
  }
  while (written < count) to = write_other(to, &others[written++]);
  if (to > first) to--; /* the last comma */
  *to++ = '}';
  return to;
}
