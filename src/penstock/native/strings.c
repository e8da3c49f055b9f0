/* JSON strings: found, checked, unescaped and written anew. */
#include "reader.h"

/* Whether the bytes are UTF-8 as the Unicode Standard has it (table 3-7): no surrogates, nothing overlong. */
static bool is_utf8(const uint8_t *place, const uint8_t *end) {
  while (place < end) {
    uint8_t lead = *place;
    if (lead < 0x80) {
      place++;
      continue;
    }
    int following = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    if (lead < 0xC2 || lead > 0xF4 || end - place <= following) return false;
    for (int i = 1; i <= following; i++)
      if ((place[i] & 0xC0) != 0x80) return false;
    uint8_t second = place[1];
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0) || (lead == 0xF0 && second < 0x90) ||
        (lead == 0xF4 && second >= 0x90))
      return false;
    place += following + 1;
  }
  return true;
}

/* The closing quote of the string that begins at `place`; NULL when there is none, or a bare control character. */
static inline const uint8_t *closing_quote(struct reader *reader, const uint8_t *place, const uint8_t *end,
                                           bool *escapes) {
  const uint8_t *start = place;
  uint32_t high = 0;
  *escapes = false;
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1F);
  while (place < reader->vector_end) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)place);
    __m128i low = _mm_cmpeq_epi8(_mm_max_epu8(bytes, control), control);
    __m128i stops = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)), low);
    uint32_t stop = (uint32_t)_mm_movemask_epi8(stops), above = (uint32_t)_mm_movemask_epi8(bytes);
    if (stop == 0) {
      high |= above;
      place += 16;
      continue;
    }
    int at = __builtin_ctz(stop);
    high |= above & ((1u << at) - 1);
    place += at;
    if (place >= end) return leave(reader, LEFT_SYNTAX);
    if (LIKELY(*place == '"')) goto closed;
    if (*place != '\\') return leave(reader, LEFT_SYNTAX);
    *escapes = true;
    place += 2;
  }
#endif
  for (; place < end && *place != '"'; place++) {
    if (*place < 0x20) return leave(reader, LEFT_SYNTAX);
    high |= *place & 0x80;
    if (*place == '\\') {
      *escapes = true;
      place++;
    }
  }
  if (place >= end) return leave(reader, LEFT_SYNTAX);
#if defined(__SSE2__)
closed:
#endif
  if (UNLIKELY(high) && !is_utf8(start, place)) return leave(reader, LEFT_UTF8);
  return place;
}

/* The value of four hexadecimal digits, or -1. */
static int hexadecimal(const uint8_t *digits) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    int digit = digits[i], lower = digit | 0x20;
    if (digit >= '0' && digit <= '9')
      digit -= '0';
    else if (lower >= 'a' && lower <= 'f')
      digit = lower - 'a' + 10;
    else
      return -1;
    value = value << 4 | digit;
  }
  return value;
}

static uint8_t *write_utf8(uint8_t *to, int code) {
  if (code < 0x80) {
    *to++ = (uint8_t)code;
  } else if (code < 0x800) {
    *to++ = (uint8_t)(0xC0 | code >> 6);
    *to++ = (uint8_t)(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *to++ = (uint8_t)(0xE0 | code >> 12);
    *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    *to++ = (uint8_t)(0x80 | (code & 0x3F));
  } else {
    *to++ = (uint8_t)(0xF0 | code >> 18);
    *to++ = (uint8_t)(0x80 | (code >> 12 & 0x3F));
    *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    *to++ = (uint8_t)(0x80 | (code & 0x3F));
  }
  return to;
}

/* Write the character of the escape \uXXXX whose digits are at *place, and go behind it. */
static uint8_t *unescape_code(struct reader *reader, uint8_t *to, const uint8_t **place, const uint8_t *end) {
  const uint8_t *digits = *place;
  int code = end - digits < 4 ? -1 : hexadecimal(digits), low;
  if (code < 0) {
    leave(reader, LEFT_SYNTAX);
    return NULL;
  }
  *place = digits + 4;
  if (code >= 0xD800 && code < 0xE000) {
    bool pair = code < 0xDC00 && end - digits >= 10 && digits[4] == '\\' && digits[5] == 'u';
    low = pair ? hexadecimal(digits + 6) : -1;
    if (low < 0xDC00 || low > 0xDFFF) code = 0;
    else {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      *place = digits + 10;
    }
  }
  if (code == 0) {
    leave(reader, LEFT_CHARACTER);
    return NULL;
  }
  return write_utf8(to, code);
}

/* Write what stands between the quotes without its escapes, which only makes it shorter. NULL when it is left. */
static uint8_t *unescape(struct reader *reader, uint8_t *to, const uint8_t *place, const uint8_t *end) {
  while (place < end) {
    if (*place != '\\') {
      *to++ = *place++;
      continue;
    }
    if (end - place < 2) {
      leave(reader, LEFT_SYNTAX);
      return NULL;
    }
    uint8_t sign = place[1];
    place += 2;
    switch (sign) {
      case '"': case '\\': case '/': *to++ = sign; break;
      case 'b': *to++ = '\b'; break;
      case 'f': *to++ = '\f'; break;
      case 'n': *to++ = '\n'; break;
      case 'r': *to++ = '\r'; break;
      case 't': *to++ = '\t'; break;
      case 'u':
        to = unescape_code(reader, to, &place, end);
        if (to == NULL) return NULL;
        break;
      default:
        leave(reader, LEFT_SYNTAX);
        return NULL;
    }
  }
  return to;
}

uint8_t *write_string(uint8_t *to, const uint8_t *text, int64_t bytes) {
  static const char HEXADECIMAL[] = "0123456789ABCDEF", SHORT[] = "btn\0fr"; /* from 8 on */
  *to++ = '"';
  for (const uint8_t *end = text + bytes; text < end; text++) {
    uint8_t byte = *text;
    if (byte >= 0x20) {
      if (byte == '"' || byte == '\\') *to++ = '\\';
      *to++ = byte;
      continue;
    }
    *to++ = '\\';
    if (byte >= 8 && byte <= 13 && SHORT[byte - 8]) {
      *to++ = (uint8_t)SHORT[byte - 8];
      continue;
    }
    *to++ = 'u', *to++ = '0', *to++ = '0';
    *to++ = (uint8_t)HEXADECIMAL[byte >> 4], *to++ = (uint8_t)HEXADECIMAL[byte & 15];
  }
  *to++ = '"';
  return to;
}

const uint8_t *read_string(struct reader *reader, const uint8_t *place, const uint8_t *end, struct value *value) {
  bool escapes;
  const uint8_t *start = place + 1, *quote = closing_quote(reader, start, end, &escapes);
  if (UNLIKELY(quote == NULL)) return NULL;
  value->kind = TEXT;
  if (LIKELY(!escapes)) {
    value->text = start;
    value->text_bytes = (int32_t)(quote - start);
    value->json = start - 1;
    value->json_bytes = value->text_bytes + 2;
    return quote + 1;
  }
  /* the text is no longer than what stands there, and neither is its canonical form but for the quotes */
  if (reader->arena_end - reader->free < 2 * (quote - start) + 2) return leave(reader, LEFT_SIZE);
  uint8_t *text = reader->free, *text_end = unescape(reader, text, start, quote);
  if (text_end == NULL) return NULL;
  uint8_t *json_end = write_string(text_end, text, text_end - text);
  value->text = text;
  value->text_bytes = (int32_t)(text_end - text);
  value->json = text_end;
  value->json_bytes = (int32_t)(json_end - text_end);
  reader->free = json_end;
  return quote + 1;
}

int compare_keys(const uint8_t *a, int64_t a_bytes, const uint8_t *b, int64_t b_bytes) {
  int order = memcmp(a, b, (size_t)(a_bytes < b_bytes ? a_bytes : b_bytes));
  return order ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}
