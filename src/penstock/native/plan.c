#include "plan.h"

#include <stdlib.h>

#include "reader.h"

static inline uint32_t hash_of(const uint8_t *name, int32_t bytes) {
  uint64_t hash = (uint64_t)bytes * 0x9E3779B97F4A7C15ULL, part = 0;
  if (bytes >= 8) {
    memcpy(&part, name, 8);
    hash = (hash ^ part) * 0xFF51AFD7ED558CCDULL;
    memcpy(&part, name + bytes - 8, 8);
  } else {
    memcpy(&part, name, (size_t)bytes);
  }
  return (uint32_t)((hash ^ part) * 0xFF51AFD7ED558CCDULL >> 32);
}

int32_t plan_find(const struct plan *plan, const uint8_t *name, int32_t bytes) {
  for (uint32_t place = hash_of(name, bytes) & plan->mask; plan->table[place] >= 0; place = (place + 1) & plan->mask) {
    const struct field *field = &plan->fields[plan->table[place]];
    if (field->name_bytes == bytes && memcmp(field->name, name, (size_t)bytes) == 0) return plan->table[place];
  }
  return -1;
}

bool plan_drops(const struct plan *plan, const uint8_t *name, int32_t bytes) {
  for (int32_t i = 0; i < plan->given.dropped_count; i++) {
    const struct field *whole = &plan->dropped[i];
    if (bytes > whole->name_bytes && name[whole->name_bytes] == '_' &&
        memcmp(name, whole->name, (size_t)whole->name_bytes) == 0)
      return true;
  }
  return false;
}

static bool field_begin(struct field *field, const struct given_field *given) {
  field->name = calloc(1, (size_t)given->name_bytes + SLACK);
  field->json = calloc(1, 6 * (size_t)given->name_bytes + SLACK);
  if (field->name == NULL || field->json == NULL) return false;
  memcpy(field->name, given->name, (size_t)given->name_bytes);
  field->name_bytes = given->name_bytes;
  field->roles = given->roles;
  uint8_t *end = write_string(field->json, field->name, field->name_bytes);
  field->plain = end - field->json == field->name_bytes + 2;
  *end++ = ':';
  field->json_bytes = (int32_t)(end - field->json);
  return true;
}

static void fields_free(struct field *fields, int32_t count) {
  for (int32_t i = 0; fields != NULL && i < count; i++) {
    free(fields[i].name);
    free(fields[i].json);
  }
  free(fields);
}

EXPORTED void penstock_plan_free(struct plan *plan) {
  if (plan == NULL) return;
  fields_free(plan->fields, plan->given.field_count);
  fields_free(plan->dropped, plan->given.dropped_count);
  free(plan->columns);
  free(plan->identity);
  free(plan->table);
  free(plan);
}

static bool table_begin(struct plan *plan) {
  uint32_t size = 16;
  while (size < 4u * (uint32_t)plan->given.field_count) size *= 2;
  plan->mask = size - 1;
  plan->table = malloc(size * sizeof *plan->table);
  if (plan->table == NULL) return false;
  memset(plan->table, 0xFF, size * sizeof *plan->table);
  for (int32_t i = 0; i < plan->given.field_count; i++) {
    uint32_t place = hash_of(plan->fields[i].name, plan->fields[i].name_bytes) & plan->mask;
    while (plan->table[place] >= 0) place = (place + 1) & plan->mask;
    plan->table[place] = i;
  }
  return true;
}

static void columns_begin(struct plan *plan) {
  for (int32_t i = 0; i < plan->given.column_count; i++) {
    struct target *column = &plan->columns[i];
    column->given = plan->given.columns[i];
    column->before = -1;
    column->last = true;
    for (int32_t j = 0; j < i; j++)
      if (plan->columns[j].given.field == column->given.field) {
        column->before = j;
        plan->columns[j].last = false;
      }
    plan->fields[column->given.field].columned = true;
  }
}

/* A plan of what is given, which is copied; NULL without memory. */
EXPORTED struct plan *penstock_plan(const struct given_plan *given) {
  struct plan *plan = calloc(1, sizeof *plan);
  if (plan == NULL) return NULL;
  plan->given = *given;
  plan->fields = calloc((size_t)given->field_count + 1, sizeof *plan->fields);
  plan->dropped = calloc((size_t)given->dropped_count + 1, sizeof *plan->dropped);
  plan->columns = calloc((size_t)given->column_count + 1, sizeof *plan->columns);
  plan->identity = calloc((size_t)given->identity_count + 1, sizeof *plan->identity);
  bool whole = plan->fields && plan->dropped && plan->columns && plan->identity;
  for (int32_t i = 0; whole && i < given->field_count; i++) whole = field_begin(&plan->fields[i], &given->fields[i]);
  for (int32_t i = 0; whole && i < given->dropped_count; i++)
    whole = field_begin(&plan->dropped[i], &given->dropped[i]);
  if (!whole || !table_begin(plan)) {
    penstock_plan_free(plan);
    return NULL;
  }
  columns_begin(plan);
  for (int32_t i = 0; i < given->identity_count; i++) plan->identity[i] = given->identity[i];
  return plan;
}
