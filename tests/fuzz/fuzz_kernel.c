/* Feeds the kernel with any bytes, for libFuzzer: make fuzz. Sanitizers see to memory and undefined behaviour, and what
   is asserted here to the rest:

   - columns are whole: offsets rise, and stay within their texts;
   - hashes are the same with the processor's instructions and without them;
   - the canonical form of a record is a record again, with the same canonical form and the same identity;
   - records end within their bytes, in rising order. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "plan.h"

struct plan *penstock_plan(const struct given_plan *given);
int64_t penstock_shape(const struct plan *plan, const uint8_t *data, int64_t size, const void *offsets, int32_t wide,
                       int64_t count, const int64_t *orders, uint8_t *left, struct ArrowArray *rows);
int64_t penstock_line_ends(const uint8_t *block, int64_t bytes, int32_t line_end, int64_t *places, int64_t capacity);
int64_t penstock_value_ends(const uint8_t *block, int64_t bytes, int64_t *places, int64_t capacity);
int64_t penstock_element_ends(const uint8_t *block, int64_t bytes, int64_t *places, int64_t capacity, int32_t *closed);

/* replay.c looks at every array */
__attribute__((weak)) void seen(const struct ArrowArray *array, const enum type *types) { (void)array, (void)types; }

#define COLUMNS 14
#define KINDS 4
#define COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

/* in the order of their bytes; each is a column of its type, and some of them of more */
static const char *const NAMES[] = {"a", "at", "b", "d", "day", "i", "j", "m", "o_a", "s", "t", "u", "z"};
static const int TYPES[] = {TYPE_TEXT, TYPE_TIMESTAMP, TYPE_BOOLEAN, TYPE_DOUBLE,  TYPE_DATE,
                            TYPE_BIGINT, TYPE_JSON,    TYPE_DECIMAL, TYPE_DOUBLE,  TYPE_TEXT,
                            TYPE_TEXT, TYPE_UUID,      TYPE_TIMESTAMPTZ};
enum { FIELD_AT = 1, FIELD_I = 5, FIELD_S = 9, FIELD_T = 10 };

static struct plan *plan_of(int kind, bool portable) {
  struct given_field fields[COUNT(NAMES)], dropped = {(const uint8_t *)"s", 1, 0};
  struct given_column columns[COLUMNS];
  const int32_t identity[] = {FIELD_I, FIELD_T};
  for (int i = 0; i < COUNT(NAMES); i++) {
    fields[i] = (struct given_field){(const uint8_t *)NAMES[i], (int32_t)strlen(NAMES[i]), 0};
    columns[i] = (struct given_column){i, TYPES[i], kind & 1, 18, 4, TYPES[i] == TYPE_TEXT ? 0 : 15};
  }
  columns[COLUMNS - 1] = (struct given_column){FIELD_I, TYPE_JSON, 0, 0, 0, 24};
  if (kind >= 2) fields[FIELD_S].roles = ROLE_DROPPED;
  struct given_plan given = {.fields = fields,
                             .columns = columns,
                             .identity = identity,
                             .dropped = &dropped,
                             .max_bytes = 1 << 20,
                             .max_width = kind == 1 ? 200 : 0,
                             .field_count = COUNT(NAMES),
                             .column_count = COLUMNS,
                             .identity_count = kind == 1 || kind == 3 ? 2 : 0,
                             .dropped_count = kind >= 2,
                             .flat = kind >= 2,
                             .content = kind & 1,
                             .event_time = kind == 1 ? FIELD_AT : -1,
                             .version = kind == 3 ? FIELD_T : -1,
                             .raw = kind != 1,
                             .portable = portable};
  return penstock_plan(&given);
}

static struct plan *plans[KINDS][2];

int LLVMFuzzerInitialize(int *count, char ***arguments) {
  (void)count, (void)arguments;
  for (int kind = 0; kind < KINDS; kind++)
    for (int portable = 0; portable < 2; portable++) plans[kind][portable] = plan_of(kind, portable);
  return 0;
}

static void check_texts(const struct ArrowArray *column) {
  const int32_t *offsets = column->buffers[1];
  assert(offsets[0] == 0);
  for (int64_t i = 0; i < column->length; i++) assert(offsets[i] <= offsets[i + 1]);
}

/* The types of all columns, those behind the plan's too. */
static void types_of(int kind, enum type *types) {
  for (int i = 0; i < COLUMNS - 1; i++) *types++ = (enum type)TYPES[i];
  *types++ = TYPE_JSON;
  *types++ = TYPE_BIGINT;
  *types++ = TYPE_UUID;
  if (kind & 1) *types++ = TYPE_UUID;
  if (kind == 1) *types++ = TYPE_TIMESTAMP;
  if (kind == 3) *types++ = TYPE_TEXT;
  if (kind != 1) *types++ = TYPE_JSON;
}

/* Shape bodies that lie in just as much memory as they take. */
static int64_t shaped(int kind, bool portable, const uint8_t *bytes, size_t size, size_t cut, struct ArrowArray *rows) {
  uint8_t *data = malloc(size ? size : 1), left[2];
  if (size) memcpy(data, bytes, size);
  const int32_t offsets[] = {0, (int32_t)cut, (int32_t)size};
  const int64_t orders[] = {7, 8};
  int64_t taken = penstock_shape(plans[kind][portable], data, (int64_t)size, offsets, 0, 2, orders, left, rows);
  assert(taken == (left[0] == TAKEN) + (left[1] == TAKEN));
  assert(rows->length == taken);
  for (int i = 0; i < COLUMNS; i++)
    if (is_text((enum type)(i < COLUMNS - 1 ? TYPES[i] : TYPE_JSON))) check_texts(rows->children[i]);
  enum type types[COLUMNS + 6];
  types_of(kind, types);
  seen(rows, types);
  free(data);
  return taken;
}

static const uint8_t *identities(const struct ArrowArray *rows) { return rows->children[COLUMNS + 1]->buffers[1]; }

/* The canonical form is the last column. */
static const struct ArrowArray *canonical(const struct ArrowArray *rows) {
  return rows->children[rows->n_children - 1];
}

static void check_canonical(int kind, const struct ArrowArray *rows, int64_t row) {
  const int32_t *offsets = canonical(rows)->buffers[1];
  const uint8_t *text = (const uint8_t *)canonical(rows)->buffers[2] + offsets[row];
  size_t size = (size_t)(offsets[row + 1] - offsets[row]);
  struct ArrowArray again;
  int64_t taken = shaped(kind, true, text, size, size, &again);
  if (taken) { /* flat names may be longer than a record may be, or meet */
    const int32_t *offsets_again = canonical(&again)->buffers[1];
    assert((size_t)(offsets_again[1] - offsets_again[0]) == size);
    assert(memcmp(canonical(&again)->buffers[2], text, size) == 0);
    assert(memcmp(identities(&again), identities(rows) + 16 * row, 16) == 0);
  } else {
    assert(kind >= 2);
  }
  again.release(&again);
}

static void check_ends(const int64_t *places, int64_t count, size_t size) {
  for (int64_t i = 0; i < count; i++) assert(places[i] <= (int64_t)size && places[i] > (i ? places[i - 1] : 0));
}

static void cut_all(const uint8_t *bytes, size_t size) {
  uint8_t *block = malloc(size ? size : 1);
  int64_t *places = malloc((size + 1) * sizeof *places);
  int32_t closed;
  if (size) memcpy(block, bytes, size);
  check_ends(places, penstock_line_ends(block, (int64_t)size, '\n', places, (int64_t)size + 1), size);
  check_ends(places, penstock_value_ends(block, (int64_t)size, places, (int64_t)size + 1), size);
  check_ends(places, penstock_element_ends(block, (int64_t)size, places, (int64_t)size + 1, &closed), size);
  free(places);
  free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (size < 2 || size > 1 << 16) return 0;
  int kind = bytes[0] % KINDS;
  size_t cut = bytes[1] % (size - 1);
  bytes += 2, size -= 2;
  struct ArrowArray rows, portable;
  int64_t taken = shaped(kind, false, bytes, size, cut < size ? cut : size, &rows);
  assert(shaped(kind, true, bytes, size, cut < size ? cut : size, &portable) == taken);
  assert(memcmp(identities(&rows), identities(&portable), (size_t)taken * 16) == 0);
  for (int64_t i = 0; kind != 1 && i < taken; i++) check_canonical(kind, &rows, i);
  rows.release(&rows);
  portable.release(&portable);
  cut_all(bytes, size);
  return 0;
}
