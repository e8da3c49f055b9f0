#include "arrow.h"

#include <stdlib.h>

#define TEXT_BYTES 16 /* a guess at how long texts are, to begin with */

bool column_begin(struct column *column, enum type type, int64_t rows) {
  int64_t bits = (rows + 7) / 8 + SLACK, capacity;
  memset(column, 0, sizeof *column);
  column->type = type;
  column->valid = block_take(bits, &capacity);
  int64_t bytes = type == TYPE_BOOLEAN ? bits : is_text(type) ? rows * TEXT_BYTES : rows * width_of(type);
  column->values.bytes = block_take(bytes + SLACK, &column->values.capacity);
  if (is_text(type)) {
    column->offsets = block_take((rows + 1) * (int64_t)sizeof(int32_t), &capacity);
    if (column->offsets == NULL) return false;
    column->offsets[0] = 0;
  }
  if (column->valid == NULL || column->values.bytes == NULL) return false;
  memset(column->valid, 0, (size_t)bits);
  if (type == TYPE_BOOLEAN) memset(column->values.bytes, 0, (size_t)bits);
  return true;
}

void column_free(struct column *column) {
  block_give(column->valid);
  block_give(column->offsets);
  block_give(column->values.bytes);
}

static void release(struct ArrowArray *array) {
  for (int64_t i = 0; i < array->n_children; i++) {
    struct ArrowArray *child = array->children[i];
    if (child != NULL && child->release != NULL) child->release(child);
    free(child);
  }
  for (int64_t i = 0; i < array->n_buffers; i++) block_give((void *)array->buffers[i]);
  free(array->children);
  free(array->buffers);
  array->release = NULL;
}

static bool array_begin(struct ArrowArray *array, int64_t rows, int64_t buffers, int64_t children) {
  memset(array, 0, sizeof *array);
  array->length = rows;
  array->buffers = calloc((size_t)buffers, sizeof(void *));
  array->children = children ? calloc((size_t)children, sizeof(void *)) : NULL;
  array->release = release;
  if (array->buffers == NULL || (children && array->children == NULL)) return false;
  array->n_buffers = buffers;
  array->n_children = children;
  return true;
}

static void fill(struct ArrowArray *array, struct column *column) {
  array->null_count = column->nulls;
  if (column->nulls)
    array->buffers[0] = column->valid;
  else
    block_give(column->valid);
  int values = is_text(column->type) ? 2 : 1;
  if (is_text(column->type)) array->buffers[1] = column->offsets;
  array->buffers[values] = column->values.bytes;
  memset(column, 0, sizeof *column);
}

bool columns_hand_over(struct column *columns, int count, int64_t rows, struct ArrowArray *array) {
  bool whole = array_begin(array, rows, 1, count);
  for (int i = 0; whole && i < count; i++) {
    struct ArrowArray *child = malloc(sizeof *child);
    array->children[i] = child;
    whole = child != NULL && array_begin(child, rows, is_text(columns[i].type) ? 3 : 2, 0);
  }
  if (!whole) {
    release(array);
    return false;
  }
  for (int i = 0; i < count; i++) fill(array->children[i], &columns[i]);
  return true;
}
