/* Where records end in bytes that are not parsed: lines, values one after the other, the elements of a list.
   Each function writes up to `capacity` ends, those behind the last byte, and returns how many there are in all. */
#include "kernel.h"

struct ends {
  int64_t *places, capacity, count;
};

static inline void add_end(struct ends *ends, int64_t place) {
  if (LIKELY(ends->count < ends->capacity)) ends->places[ends->count] = place;
  ends->count++;
}

EXPORTED int64_t penstock_line_ends(const uint8_t *block, int64_t bytes, int32_t line_end, int64_t *places,
                                    int64_t capacity) {
  struct ends ends = {places, capacity, 0};
  int64_t place = 0;
#if defined(__SSE2__)
  const __m128i sign = _mm_set1_epi8((char)line_end);
  for (; place + 64 <= bytes; place += 64) {
    uint64_t matches = 0;
    for (int i = 0; i < 4; i++) {
      __m128i part = _mm_loadu_si128((const __m128i *)(block + place + 16 * i));
      matches |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(part, sign)) << 16 * i;
    }
    for (; matches; matches &= matches - 1) add_end(&ends, place + __builtin_ctzll(matches) + 1);
  }
#endif
  for (; place < bytes; place++)
    if (block[place] == (uint8_t)line_end) add_end(&ends, place + 1);
  return ends.count;
}

/* Behind the closing quote of the string that goes on at `place`; `bytes`, or more, when there is none. */
static inline int64_t behind_string(const uint8_t *block, int64_t place, int64_t bytes) {
  for (;;) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; place + 16 <= bytes; place += 16) {
      __m128i part = _mm_loadu_si128((const __m128i *)(block + place));
      int stops = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(part, quote), _mm_cmpeq_epi8(part, backslash)));
      if (stops) {
        place += __builtin_ctz((unsigned)stops);
        break;
      }
    }
#endif
    while (place < bytes && block[place] != '"' && block[place] != '\\') place++;
    if (place >= bytes) return bytes;
    if (block[place] == '"') return place + 1;
    place += 2;
  }
}

enum step { NOTHING, OPENED, CLOSED, COMMA };

/* Go behind the next bracket or comma outside of strings. A quote after a backslash is none, wherever it stands. */
static inline enum step next_sign(const uint8_t *block, int64_t *place, int64_t bytes) {
  for (int64_t at = *place; at < bytes;) {
    switch (block[at++]) {
      case '"': at = behind_string(block, at, bytes); break;
      case '\\':
        if (at < bytes && (block[at] == '"' || block[at] == '\\')) at++;
        break;
      case '{': case '[': *place = at; return OPENED;
      case '}': case ']': *place = at; return CLOSED;
      case ',': *place = at; return COMMA;
      default: break;
    }
  }
  *place = bytes;
  return NOTHING;
}

/* Of values one after the other: a bracket ends one that closes all that are open. */
EXPORTED int64_t penstock_value_ends(const uint8_t *block, int64_t bytes, int64_t *places, int64_t capacity) {
  struct ends ends = {places, capacity, 0};
  int64_t depth = 0, place = 0;
  for (enum step step; (step = next_sign(block, &place, bytes)) != NOTHING;) {
    depth += (step == OPENED) - (step == CLOSED);
    if (step == CLOSED && depth <= 0) add_end(&ends, place);
  }
  return ends.count;
}

/* Of the elements of a list that is open, each with the comma behind it, or the bracket that closes the list. */
EXPORTED int64_t penstock_element_ends(const uint8_t *block, int64_t bytes, int64_t *places, int64_t capacity,
                                       int32_t *closed) {
  struct ends ends = {places, capacity, 0};
  int64_t depth = 0, place = 0;
  *closed = 0;
  for (enum step step; (step = next_sign(block, &place, bytes)) != NOTHING;) {
    depth += (step == OPENED) - (step == CLOSED);
    *closed = depth < 0;
    if (*closed || (step == COMMA && depth == 0)) add_end(&ends, place);
    if (*closed) break;
  }
  return ends.count;
}
