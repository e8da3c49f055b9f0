/* What records of a stream look like, and what columns their values go to. Never changed once it is made, so that any
   number of threads may shape by one. */
#ifndef PENSTOCK_PLAN_H
#define PENSTOCK_PLAN_H

#include "arrow.h"
#include "kernel.h"

/* As penstock.native.plan gives them: the layouts are the same there. */
enum role { ROLE_DROPPED = 1, /* as good as never sent */
            ROLE_GUARDED = 2  /* an object or list in it is left: it may hold something dropped */ };

struct given_field {
  const uint8_t *name;
  int32_t name_bytes, roles;
};

struct given_column {
  int32_t field, type;
  int32_t spelt;            /* whether texts that spell a number or a truth value fit */
  int32_t precision, scale; /* of decimals */
  int32_t width;            /* bytes of a row that a value takes; 0: by its length */
};

struct given_plan {
  const struct given_field *fields; /* in the order of their names' bytes */
  const struct given_column *columns;
  const int32_t *identity;           /* fields; none of them: the content */
  const struct given_field *dropped; /* names that stand for all names that go on behind them with an underscore */
  int64_t max_bytes;                 /* of a record */
  int64_t max_width;                 /* of a row; 0: any */
  int32_t field_count, column_count, identity_count, dropped_count;
  int32_t flat;       /* nested objects are taken apart */
  int32_t content;    /* give the hash of the content besides */
  int32_t event_time; /* the field, or -1: do not give it */
  int32_t version;    /* likewise */
  int32_t raw;        /* give the whole record in its canonical form */
  int32_t portable;   /* hash without the processor's own instructions */
};

struct field {
  uint8_t *name, *json; /* json: the name as a canonical key, with its colon */
  int32_t name_bytes, json_bytes, roles;
  bool plain;    /* nothing in it has to be escaped */
  bool columned; /* it has a column */
};

struct target {
  struct given_column given;
  int32_t before; /* the column of the same field before this one, or -1 */
  bool last;      /* of its field */
};

struct plan {
  struct given_plan given;
  struct field *fields;
  struct target *columns;
  int32_t *identity;
  struct field *dropped;
  uint32_t mask;
  int32_t *table; /* of fields by their names' hashes; -1 is nothing */
};

/* The field of that name, or -1. */
int32_t plan_find(const struct plan *plan, const uint8_t *name, int32_t bytes);

/* Whether a flat name that is no field's is dropped, as part of what is. */
bool plan_drops(const struct plan *plan, const uint8_t *name, int32_t bytes);

#endif
