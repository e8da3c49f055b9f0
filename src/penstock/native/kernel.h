/* What every file of the kernel needs: exact integers, hints, and which functions are seen from outside.
   Plain C11 with 128-bit integers (GCC, Clang); no Python.h, so one library serves every Python. */
#ifndef PENSTOCK_KERNEL_H
#define PENSTOCK_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define EXPORTED __attribute__((visibility("default")))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Bytes that may be written behind what a buffer holds: copies and vectors run over. */
#define SLACK 64

/* Why a record is left to the other lanes. The numbers are those of penstock.native.plan.Left. */
enum left {
  TAKEN = 0,
  LEFT_SYNTAX,    /* no JSON object, or more than one */
  LEFT_TWICE,     /* a key, or a flat name, twice */
  LEFT_CHARACTER, /* U+0000, or half of a surrogate pair */
  LEFT_NUMBER,    /* a number in a spelling that is not its own */
  LEFT_UNKNOWN,   /* a value without a column */
  LEFT_MISFIT,    /* a value that fits none of its field's columns */
  LEFT_DEPTH,
  LEFT_UTF8,
  LEFT_SIZE,
  LEFT_IDENTITY, /* an identity field without a value */
  LEFT_LAYOUT,   /* what has to be laid out with more care */
};

/* A value of a record. `text` is what it is as text, `json` its canonical form; both live as long as the record is read.
   A field has the value of the record at hand when `generation` is that record's. */
struct value {
  const uint8_t *text, *json;
  int32_t text_bytes, json_bytes;
  uint32_t generation;
  uint8_t kind;
};

enum kind { ABSENT, NIL, TEXT, INTEGER, UNSIGNED, REAL, EXACT, YES, NO, OBJECT, ARRAY };
/* UNSIGNED: an integer beyond 63 bits and within 64; EXACT: a number that no double holds. */

/* Copy at least `bytes`, and up to 15 more: both sides have room. */
static inline void copy_over(uint8_t *to, const uint8_t *from, int64_t bytes) {
#if defined(__SSE2__)
  do {
    _mm_storeu_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
    to += 16, from += 16, bytes -= 16;
  } while (bytes > 0);
#else
  memcpy(to, from, (size_t)bytes);
#endif
}

#endif
