/* Bodies to typed columns: what the lanes in SQL and in Python make of them, or nothing. */
#include <math.h>
#include <stdlib.h>

#include "arrow.h"
#include "numbers.h"
#include "plan.h"
#include "record.h"
#include "sha256.h"
#include "times.h"

#define EXACT_IN_DOUBLE ((int64_t)1 << 53)
#define HASH_BYTES 16
#define MOVED_BYTES 24 /* texts from here on leave a row: penstock.shape.width */
#define POINTER_BYTES 18

enum { NO_MEMORY = -1, TOO_MUCH = -2 };

/* Columns behind those of the plan, in the order in which penstock.native.plan names them. */
enum extra { EXTRA_ORDER, EXTRA_IDENTITY, EXTRA_CONTENT, EXTRA_TIME, EXTRA_VERSION, EXTRA_RAW, EXTRAS };

struct shaping {
  const struct plan *plan;
  struct record record;
  struct hashing hashing;
  struct column *columns;
  union fixed *fixed;       /* the value of the record at hand for each column */
  bool *filled;             /* whether it has one */
  int extra[EXTRAS], count; /* places of columns; -1: not asked for */
  int64_t row, event_time;
  bool timed;
};

static bool is_word(const struct value *value, const char *word) {
  for (int32_t i = 0; i < value->text_bytes; i++)
    if (word[i] == 0 || (value->text[i] | 0x20) != word[i]) return false;
  return word[value->text_bytes] == 0;
}

static bool fits_bigint(const struct value *value, bool spelt, union fixed *fixed) {
  if (value->kind == INTEGER || (spelt && value->kind == TEXT))
    return integer_of(value->text, value->text_bytes, &fixed->integer);
  if (value->kind != REAL) return false;
  double number = double_of(value->text, value->text_bytes);
  if (!(fabs(number) < (double)EXACT_IN_DOUBLE) || number != floor(number)) return false;
  fixed->integer = (int64_t)number;
  return true;
}

static bool fits_double(const struct value *value, bool spelt, union fixed *fixed) {
  int64_t integer;
  if (value->kind == TEXT) return spelt && spelt_double(value->text, value->text_bytes, &fixed->number);
  if (value->kind == REAL) {
    fixed->number = double_of(value->text, value->text_bytes);
    return true;
  }
  if (value->kind != INTEGER || !integer_of(value->text, value->text_bytes, &integer)) return false;
  fixed->number = (double)integer;
  return integer >= -EXACT_IN_DOUBLE && integer <= EXACT_IN_DOUBLE;
}

static bool fits_boolean(const struct value *value, bool spelt, union fixed *fixed) {
  bool text = spelt && value->kind == TEXT;
  if (value->kind == YES || (text && is_word(value, "true")))
    fixed->integer = 1;
  else if (value->kind == NO || (text && is_word(value, "false")))
    fixed->integer = 0;
  else
    return false;
  return true;
}

static bool fits_decimal(const struct value *value, const struct given_column *column, union fixed *fixed) {
  bool number = value->kind >= INTEGER && value->kind <= EXACT;
  if (!number && !(column->spelt && value->kind == TEXT)) return false;
  return decimal_of(value->text, value->text_bytes, column->precision, column->scale, &fixed->wide);
}

/* Whether the value fits the column without a loss, as penstock.shape.types has it. */
static bool fits(const struct value *value, const struct given_column *column, union fixed *fixed) {
  bool text = value->kind == TEXT;
  switch (column->type) {
    case TYPE_TEXT: return value->kind < OBJECT;
    case TYPE_JSON: return true;
    case TYPE_BIGINT: return fits_bigint(value, column->spelt, fixed);
    case TYPE_DOUBLE: return fits_double(value, column->spelt, fixed);
    case TYPE_BOOLEAN: return fits_boolean(value, column->spelt, fixed);
    case TYPE_DECIMAL: return fits_decimal(value, column, fixed);
    case TYPE_DATE: return text && date_of(value->text, value->text_bytes, &fixed->integer);
    case TYPE_TIMESTAMP:
      return text && timestamp_of(value->text, value->text_bytes, WITHOUT_ZONE, false, &fixed->integer);
    case TYPE_TIMESTAMPTZ:
      return text && timestamp_of(value->text, value->text_bytes, WITH_ZONE, false, &fixed->integer);
    case TYPE_UUID: return text && uuid_of(value->text, value->text_bytes, fixed->bytes);
    default: return false;
  }
}

/* Whether text that does not fit may do so all the same, in a spelling that is not read here: 1e5, 24:00. */
static bool may_fit(const struct value *value, const struct given_column *column) {
  if (value->kind != TEXT || value->text_bytes == 0) return false;
  uint8_t first = value->text[0];
  return (first >= '0' && first <= '9') || (column->spelt && first == '-');
}

/* Give each value the first of its field's columns that it fits. */
static enum left place_values(struct shaping *shaping) {
  const struct plan *plan = shaping->plan;
  for (int32_t i = 0; i < plan->given.column_count; i++) {
    const struct target *column = &plan->columns[i];
    const struct value *value = value_of(&shaping->record, column->given.field);
    shaping->filled[i] = false;
    if (value == NULL) continue;
    bool placed = false;
    for (int32_t j = column->before; j >= 0 && !placed; j = plan->columns[j].before) placed = shaping->filled[j];
    if (placed) continue;
    shaping->filled[i] = fits(value, &column->given, &shaping->fixed[i]);
    if (!shaping->filled[i] && (column->last || may_fit(value, &column->given))) return LEFT_MISFIT;
  }
  return TAKEN;
}

/* Whether a row has room for all of its values. */
static bool has_room(const struct shaping *shaping) {
  const struct plan *plan = shaping->plan;
  int64_t width = 0;
  for (int32_t i = 0; i < plan->given.column_count; i++) {
    if (!shaping->filled[i]) continue;
    int32_t bytes = plan->columns[i].given.width, text = value_of(&shaping->record, plan->columns[i].given.field)->text_bytes;
    width += bytes ? bytes : text < MOVED_BYTES ? text + 1 : POINTER_BYTES;
  }
  return width <= plan->given.max_width;
}

/* The event time in UTC, or none. What may be one after all, in a spelling that is not read here, is left. */
static enum left read_time(struct shaping *shaping) {
  const struct value *value = value_of(&shaping->record, shaping->plan->given.event_time);
  shaping->timed = false;
  if (value == NULL || value->kind != TEXT) return TAKEN;
  shaping->timed = timestamp_of(value->text, value->text_bytes, WITHOUT_ZONE, true, &shaping->event_time) ||
                   timestamp_of(value->text, value->text_bytes, WITH_ZONE, true, &shaping->event_time);
  bool like_one = value->text_bytes >= 10 && value->text[4] == '-' && value->text[7] == '-';
  return shaping->timed || !like_one ? TAKEN : LEFT_MISFIT;
}

static bool identified(const struct shaping *shaping) {
  const struct plan *plan = shaping->plan;
  for (int32_t i = 0; i < plan->given.identity_count; i++)
    if (value_of(&shaping->record, plan->identity[i]) == NULL) return false;
  return true;
}

/* The values of the identity as a JSON array of texts, to be hashed. False without memory. */
static bool hash_identity(struct shaping *shaping, uint8_t *hash) {
  const struct plan *plan = shaping->plan;
  int64_t bytes = 2;
  for (int32_t i = 0; i < plan->given.identity_count; i++)
    bytes += 6 * (int64_t)value_of(&shaping->record, plan->identity[i])->text_bytes + 3;
  uint8_t *start = hashing_room(&shaping->hashing, bytes), *to = start;
  if (start == NULL) return false;
  *to++ = '[';
  for (int32_t i = 0; i < plan->given.identity_count; i++) {
    const struct value *value = value_of(&shaping->record, plan->identity[i]);
    if (i) *to++ = ',';
    to = write_string(to, value->text, value->text_bytes);
  }
  *to++ = ']';
  hashing_add(&shaping->hashing, to - start, hash);
  return true;
}

static int append(struct column *column, int64_t row, const uint8_t *text, int64_t bytes, bool tail) {
  if (UNLIKELY(column->values.length + bytes > INT32_MAX)) return TOO_MUCH;
  if (!buffer_room(&column->values, bytes)) return NO_MEMORY;
  if (LIKELY(!tail))
    copy_over(column->values.bytes + column->values.length, text, bytes);
  else if (bytes)
    memcpy(column->values.bytes + column->values.length, text, (size_t)bytes);
  column->values.length += bytes;
  column->offsets[row + 1] = (int32_t)column->values.length;
  set_bit(column->valid, row);
  return 0;
}

/* The canonical form, kept where that is asked for, and hashed where the hash has a place. */
static int write_content(struct shaping *shaping, uint8_t *hash, bool tail) {
  uint8_t *start = hashing_room(&shaping->hashing, shaping->record.content_bytes);
  if (start == NULL) return NO_MEMORY;
  int64_t bytes = record_write(&shaping->record, start, tail) - start;
  int kept = 0;
  if (shaping->extra[EXTRA_RAW] >= 0)
    kept = append(&shaping->columns[shaping->extra[EXTRA_RAW]], shaping->row, start, bytes, false);
  if (hash != NULL) hashing_add(&shaping->hashing, bytes, hash);
  return kept;
}

static uint8_t *hash_place(struct shaping *shaping, enum extra extra) {
  return shaping->columns[shaping->extra[extra]].values.bytes + HASH_BYTES * shaping->row;
}

static int write_hashes(struct shaping *shaping, bool tail) {
  const struct given_plan *given = &shaping->plan->given;
  if (given->identity_count == 0) return write_content(shaping, hash_place(shaping, EXTRA_IDENTITY), tail);
  if (!hash_identity(shaping, hash_place(shaping, EXTRA_IDENTITY))) return NO_MEMORY;
  if (shaping->extra[EXTRA_CONTENT] >= 0) return write_content(shaping, hash_place(shaping, EXTRA_CONTENT), tail);
  return given->raw ? write_content(shaping, NULL, tail) : 0;
}

static void write_null(struct column *column, int64_t row) {
  column->nulls++;
  if (is_text(column->type))
    column->offsets[row + 1] = (int32_t)column->values.length;
  else if (column->type != TYPE_BOOLEAN)
    memset(column->values.bytes + row * width_of(column->type), 0, (size_t)width_of(column->type));
}

static void write_fixed(struct column *column, int64_t row, const union fixed *fixed) {
  set_bit(column->valid, row);
  switch (column->type) {
    case TYPE_BOOLEAN:
      if (fixed->integer) set_bit(column->values.bytes, row);
      break;
    case TYPE_DATE: ((int32_t *)column->values.bytes)[row] = (int32_t)fixed->integer; break;
    case TYPE_UUID: case TYPE_DECIMAL: memcpy(column->values.bytes + 16 * row, fixed->bytes, 16); break;
    default: ((int64_t *)column->values.bytes)[row] = fixed->integer;
  }
}

static int write_values(struct shaping *shaping, bool tail) {
  const struct plan *plan = shaping->plan;
  for (int32_t i = 0; i < plan->given.column_count; i++) {
    struct column *column = &shaping->columns[i];
    if (!shaping->filled[i]) {
      write_null(column, shaping->row);
      continue;
    }
    if (!is_text(column->type)) {
      write_fixed(column, shaping->row, &shaping->fixed[i]);
      continue;
    }
    const struct value *value = &shaping->record.values[plan->columns[i].given.field];
    bool json = column->type == TYPE_JSON;
    int failed = append(column, shaping->row, json ? value->json : value->text,
                        json ? value->json_bytes : value->text_bytes, tail);
    if (UNLIKELY(failed)) return failed;
  }
  return 0;
}

static int write_extras(struct shaping *shaping, int64_t order, bool tail) {
  const struct given_plan *given = &shaping->plan->given;
  union fixed fixed = {.integer = order};
  write_fixed(&shaping->columns[shaping->extra[EXTRA_ORDER]], shaping->row, &fixed);
  if (shaping->extra[EXTRA_TIME] >= 0) {
    struct column *times = &shaping->columns[shaping->extra[EXTRA_TIME]];
    fixed.integer = shaping->event_time;
    if (shaping->timed)
      write_fixed(times, shaping->row, &fixed);
    else
      write_null(times, shaping->row);
  }
  if (shaping->extra[EXTRA_VERSION] >= 0) {
    struct column *versions = &shaping->columns[shaping->extra[EXTRA_VERSION]];
    const struct value *value = value_of(&shaping->record, given->version);
    if (value != NULL) return append(versions, shaping->row, value->text, value->text_bytes, tail);
    write_null(versions, shaping->row);
  }
  return 0;
}

static enum left judge(struct shaping *shaping) {
  const struct given_plan *given = &shaping->plan->given;
  if (!identified(shaping)) return LEFT_IDENTITY;
  enum left left = place_values(shaping);
  if (left == TAKEN && given->event_time >= 0) left = read_time(shaping);
  if (left == TAKEN && given->max_width > 0 && !has_room(shaping)) left = LEFT_SIZE;
  return left;
}

static bool begin(struct shaping *shaping, const struct plan *plan, int64_t rows) {
  const struct given_plan *given = &plan->given;
  const bool asked[EXTRAS] = {true, true, given->content && given->identity_count, given->event_time >= 0,
                              given->version >= 0, given->raw};
  static const enum type TYPES[EXTRAS] = {TYPE_BIGINT, TYPE_UUID, TYPE_UUID, TYPE_TIMESTAMP, TYPE_TEXT, TYPE_JSON};
  memset(shaping, 0, sizeof *shaping);
  shaping->plan = plan;
  shaping->hashing.portable = given->portable;
  shaping->count = given->column_count;
  for (int i = 0; i < EXTRAS; i++) shaping->extra[i] = asked[i] ? shaping->count++ : -1;
  size_t columns = (size_t)shaping->count;
  shaping->columns = calloc(columns, sizeof *shaping->columns);
  shaping->fixed = calloc(columns, sizeof *shaping->fixed);
  shaping->filled = calloc(columns, sizeof *shaping->filled);
  if (shaping->columns == NULL || shaping->fixed == NULL || shaping->filled == NULL) return false;
  bool whole = record_begin(&shaping->record, plan);
  for (int32_t i = 0; i < given->column_count; i++)
    whole &= column_begin(&shaping->columns[i], (enum type)plan->columns[i].given.type, rows);
  for (int i = 0; i < EXTRAS; i++)
    if (asked[i]) whole &= column_begin(&shaping->columns[shaping->extra[i]], TYPES[i], rows);
  return whole;
}

static void end(struct shaping *shaping) {
  for (int i = 0; shaping->columns != NULL && i < shaping->count; i++) column_free(&shaping->columns[i]);
  free(shaping->columns);
  free(shaping->fixed);
  free(shaping->filled);
  hashing_free(&shaping->hashing);
  record_free(&shaping->record);
}

/* Shape one body. Negative: the batch cannot be shaped. */
static int shape_one(struct shaping *shaping, const uint8_t *body, int64_t bytes, int64_t order, bool tail) {
  if (bytes > shaping->plan->given.max_bytes || bytes > INT32_MAX / 8) return LEFT_SIZE;
  if (!reader_begin(&shaping->record.reader, bytes)) return NO_MEMORY;
  int left = record_read(&shaping->record, body, body + bytes);
  if (left == TAKEN) left = judge(shaping);
  if (left != TAKEN) return left;
  int failed = write_hashes(shaping, tail);
  if (!failed) failed = write_values(shaping, tail);
  if (!failed) failed = write_extras(shaping, order, tail);
  if (!failed) shaping->row++;
  return failed;
}

/* Shape bodies: body i is data[offsets[i]] up to data[offsets[i + 1]], of `size` bytes of data in all, and has the
   order number orders[i]. left[i] says why it was not taken, or 0.

   rows: an array of structs of the plan's columns, and behind them those that are asked for of enum extra.
   Returns how many rows there are; negative, and no array, without memory or when they do not fit an array. */
EXPORTED int64_t penstock_shape(const struct plan *plan, const uint8_t *data, int64_t size, const void *offsets,
                                int32_t wide, int64_t count, const int64_t *orders, uint8_t *left,
                                struct ArrowArray *rows) {
  struct shaping shaping;
  int64_t failed = begin(&shaping, plan, count) ? 0 : NO_MEMORY;
  shaping.record.reader.vector_end = size >= 16 ? data + size - 15 : data;
  for (int64_t i = 0; i < count && failed == 0; i++) {
    int64_t start = wide ? ((const int64_t *)offsets)[i] : ((const int32_t *)offsets)[i];
    int64_t stop = wide ? ((const int64_t *)offsets)[i + 1] : ((const int32_t *)offsets)[i + 1];
    int result = shape_one(&shaping, data + start, stop - start, orders[i], size - stop < 2 * 16);
    if (result < 0)
      failed = result;
    else
      left[i] = (uint8_t)result;
  }
  if (failed == 0) {
    hashing_finish(&shaping.hashing);
    for (int i = EXTRA_IDENTITY; i <= EXTRA_CONTENT; i++) {
      if (shaping.extra[i] < 0) continue;
      struct column *hashes = &shaping.columns[shaping.extra[i]];
      memset(hashes->valid, 0xFF, (size_t)((shaping.row + 7) / 8));
    }
    if (!columns_hand_over(shaping.columns, shaping.count, shaping.row, rows)) failed = NO_MEMORY;
  }
  int64_t taken = shaping.row;
  end(&shaping);
  return failed ? failed : taken;
}
