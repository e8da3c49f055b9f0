#include "numbers.h"

#include <math.h>
#include <stdlib.h>

#define MAX_DIGITS 200       /* of numbers that no double holds */
#define SURE_DIGITS 15       /* of these every double comes back as it was */
#define MOST_DIGITS 17       /* the most that the shortest spelling of a double has */
#define MAX_SHIFT 22         /* ten to this is exact in a double, and times 53 bits it fits 128 */
#define MAX_ZEROS 4          /* behind the point; with more, DuckDB writes an exponent */
#define EXACT_IN_DOUBLE ((uint64_t)1 << 53)

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static inline bool is_digit(uint8_t byte) { return (uint8_t)(byte - '0') < 10; }

/* digits / 10^shift as the nearest double. */
static double scaled(uint64_t digits, int shift) {
  if (digits <= EXACT_IN_DOUBLE && shift <= MAX_SHIFT) return (double)digits / TENS[shift];
  /* without a point, so that no locale has a say */
  char text[48], *to = text + sizeof text;
  *--to = 0;
  *--to = (char)('0' + shift % 10), shift /= 10;
  *--to = (char)('0' + shift % 10), shift /= 10;
  *--to = (char)('0' + shift % 10);
  *--to = '-', *--to = 'e';
  do *--to = (char)('0' + digits % 10);
  while (digits /= 10);
  return strtod(to, NULL);
}

/* The integer nearest to number * 10^shift, for a positive number whose product has at most 17 digits. Zero where 128
   bits do not tell, and for powers of two, beside which doubles are not evenly spaced. */
static uint64_t rounded(double number, int shift) {
  int exponent;
  uint64_t significand = (uint64_t)ldexp(frexp(number, &exponent), 53);
  exponent -= 53;
  if (shift < 0 || shift > MAX_SHIFT || (significand & (significand - 1)) == 0 || exponent >= 0) return 0;
  if (exponent <= -127) return 0;
  unsigned __int128 product = significand;
  for (int i = 0; i < shift; i++) product *= 10;
  unsigned __int128 rest = product & (((unsigned __int128)1 << -exponent) - 1);
  unsigned __int128 half = (unsigned __int128)1 << (-exponent - 1), whole = product >> -exponent;
  return (uint64_t)whole + (rest > half || (rest == half && (whole & 1)));
}

enum spelling { SHORTEST, NOT_DOUBLE, UNSURE };

/* Whether digits / 10^shift, of 16 or 17 digits with no zero at their end, is how a double is spelt at its shortest. */
static enum spelling spelling_of(uint64_t digits, int shift) {
  if (shift < 1 || shift > MAX_SHIFT) return UNSURE;
  double number = scaled(digits, shift);
  uint64_t nearest = rounded(number, shift), shorter = rounded(number, shift - 1);
  if (nearest == 0 || shorter == 0) return UNSURE;
  return nearest == digits && scaled(shorter, shift - 1) != number ? SHORTEST : NOT_DOUBLE;
}

/* Of a number with a fraction: [start, whole_end) before the point with its sign, and behind it up to `fraction_end`. */
static enum left classify_real(const uint8_t *start, const uint8_t *whole_end, const uint8_t *fraction_end,
                               struct value *value) {
  const uint8_t *whole = start + (*start == '-'), *fraction = whole_end + 1, *last = fraction_end;
  while (last > fraction && last[-1] == '0') last--;
  bool integral = last == fraction;
  value->text = value->json = start;
  int64_t whole_digits = *whole == '0' ? 0 : whole_end - whole;
  const uint8_t *first = fraction;
  if (whole_digits == 0)
    while (first < last && *first == '0') first++;
  int64_t zeros = whole_digits == 0 && !integral ? first - fraction : 0;
  int64_t digits = whole_digits + (last - first);
  if (digits > MAX_DIGITS || last - fraction > MAX_DIGITS) return LEFT_NUMBER;
  if (integral && whole_digits > SURE_DIGITS) return LEFT_NUMBER;
  value->kind = REAL;
  if (digits > SURE_DIGITS) {
    uint64_t number = 0;
    enum spelling spelling = NOT_DOUBLE;
    if (digits <= MOST_DIGITS) {
      for (const uint8_t *p = whole; p < last; p++)
        if (*p != '.') number = number * 10 + (*p - '0');
      spelling = spelling_of(number, (int)(last - fraction));
    }
    if (spelling == UNSURE) return LEFT_NUMBER;
    if (spelling == NOT_DOUBLE) value->kind = EXACT;
  }
  if (value->kind == REAL && zeros > MAX_ZEROS) return LEFT_NUMBER;
  value->text_bytes = value->json_bytes = (int32_t)((integral ? fraction + 1 : last) - start);
  return TAKEN;
}

static enum left classify_integer(const uint8_t *start, const uint8_t *end, struct value *value) {
  const uint8_t *digits = start + (*start == '-');
  int64_t count = end - digits;
  if (count > MAX_DIGITS || (*start == '-' && *digits == '0')) return LEFT_NUMBER;
  value->text = value->json = start;
  value->text_bytes = value->json_bytes = (int32_t)(end - start);
  value->kind = INTEGER;
  if (LIKELY(count < 19)) return TAKEN;
  unsigned __int128 number = 0;
  for (int64_t i = 0; i < count && i < 21; i++) number = number * 10 + (digits[i] - '0');
  if (*start == '-') {
    if (count > 19 || number > (unsigned __int128)1 << 63) value->kind = EXACT;
  } else if (count > 20 || number >> 64) {
    value->kind = EXACT;
  } else if (number >> 63) {
    value->kind = UNSIGNED;
  }
  return TAKEN;
}

const uint8_t *read_number(struct reader *reader, const uint8_t *place, const uint8_t *end, struct value *value) {
  const uint8_t *start = place;
  if (*place == '-') place++;
  if (place >= end || !is_digit(*place)) return leave(reader, LEFT_SYNTAX);
  if (*place == '0')
    place++;
  else
    do place++;
    while (place < end && is_digit(*place));
  const uint8_t *whole_end = place;
  enum left left;
  if (place < end && *place == '.') {
    do place++;
    while (place < end && is_digit(*place));
    if (place == whole_end + 1) return leave(reader, LEFT_SYNTAX);
    left = classify_real(start, whole_end, place, value);
  } else {
    left = classify_integer(start, place, value);
  }
  if (place < end && (*place | 0x20) == 'e') left = LEFT_NUMBER;
  return left == TAKEN ? place : leave(reader, left);
}

bool integer_of(const uint8_t *text, int32_t bytes, int64_t *integer) {
  bool negative = bytes > 0 && *text == '-';
  const uint8_t *digits = text + negative, *end = text + bytes;
  if (digits >= end || end - digits > 19 || (*digits == '0' && end - digits > 1)) return false;
  uint64_t number = 0;
  for (; digits < end; digits++) {
    if (!is_digit(*digits)) return false;
    number = number * 10 + (*digits - '0');
  }
  if (number > (uint64_t)INT64_MAX + negative) return false;
  *integer = negative ? (int64_t)(0 - number) : (int64_t)number;
  return true;
}

double double_of(const uint8_t *text, int32_t bytes) {
  bool negative = *text == '-', behind = false;
  uint64_t digits = 0;
  int shift = 0;
  for (int32_t i = negative; i < bytes; i++) {
    if (text[i] == '.') {
      behind = true;
      continue;
    }
    digits = digits * 10 + (text[i] - '0');
    shift += behind;
  }
  double number = scaled(digits, shift);
  return negative ? -number : number;
}

/* Digits that count: all but zeros in front, of the number and behind its point. */
static int significant_digits(const uint8_t *text, int32_t bytes) {
  int count = 0;
  for (int32_t i = 0; i < bytes; i++) count += is_digit(text[i]) && (count > 0 || text[i] != '0');
  return count;
}

bool spelt_double(const uint8_t *text, int32_t bytes, double *number) {
  const uint8_t *place = text, *end = text + bytes;
  if (place < end && *place == '-') place++;
  if (place >= end || !is_digit(*place) || (*place == '0' && end - place > 1 && is_digit(place[1]))) return false;
  while (place < end && is_digit(*place)) place++;
  if (place < end && *place == '.') {
    const uint8_t *point = place++;
    while (place < end && is_digit(*place)) place++;
    if (place == point + 1 || end - point > MAX_SHIFT + 1) return false;
  }
  if (place != end || significant_digits(text, bytes) > SURE_DIGITS) return false;
  *number = double_of(text, bytes);
  return true;
}

bool decimal_of(const uint8_t *text, int32_t bytes, int precision, int scale, __int128 *decimal) {
  const uint8_t *place = text, *end = text + bytes;
  bool negative = place < end && *place == '-';
  place += negative;
  const uint8_t *first = place;
  while (place < end && is_digit(*place)) place++;
  if (place == first) return false;
  while (first < place && *first == '0') first++;
  int room = precision - scale;
  if (place - first > room) return false;
  __int128 number = 0;
  for (; first < place; first++) number = number * 10 + (*first - '0');
  int digits = 0;
  if (place < end && *place == '.') {
    if (++place == end) return false;
    for (; place < end && is_digit(*place); place++) {
      if (digits == scale) {
        if (*place != '0') return false;
        continue;
      }
      number = number * 10 + (*place - '0');
      digits++;
    }
  }
  if (place != end) return false;
  for (; digits < scale; digits++) number *= 10;
  *decimal = negative ? -number : number;
  return true;
}
