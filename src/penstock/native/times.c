#include "times.h"

#define SECOND 1000000LL

static inline bool two_digits(const uint8_t *text, int *number) {
  unsigned tens = text[0] - (unsigned)'0', ones = text[1] - (unsigned)'0';
  *number = (int)(tens * 10 + ones);
  return tens < 10 && ones < 10;
}

/* Days since 1970 in the proleptic Gregorian calendar, by counting years from March on, so that leap days come last. */
static int64_t days_since_1970(int year, int month, int day) {
  year -= month <= 2;
  int era = year / 400, year_of_era = year - era * 400;
  int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return (int64_t)era * 146097 + day_of_era - 719468;
}

static bool is_day(int year, int month, int day) {
  static const uint8_t LENGTHS[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > LENGTHS[month - 1]) return false;
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month != 2 || day < 29 || leap;
}

bool date_of(const uint8_t *text, int32_t bytes, int64_t *days) {
  int century, year, month, day;
  if (bytes != 10 || !two_digits(text, &century) || !two_digits(text + 2, &year) || text[4] != '-' ||
      !two_digits(text + 5, &month) || text[7] != '-' || !two_digits(text + 8, &day))
    return false;
  year += 100 * century;
  *days = days_since_1970(year, month, day);
  return is_day(year, month, day);
}

/* Z, or +hh, +hhmm, +hh:mm, less than 16 hours, up to the end of the text. */
static bool zone_of(const uint8_t *place, const uint8_t *end, int64_t *seconds) {
  int hours, minutes = 0;
  *seconds = 0;
  if (end - place == 1 && *place == 'Z') return true;
  if (end - place < 3 || (*place != '+' && *place != '-') || !two_digits(place + 1, &hours) || hours > 15) return false;
  const uint8_t *rest = place + 3;
  if (rest < end && *rest == ':') {
    rest++;
    if (rest == end) return false;
  }
  if (rest != end && (end - rest != 2 || !two_digits(rest, &minutes) || minutes > 59)) return false;
  *seconds = (hours * 60 + minutes) * 60;
  if (*place == '-') *seconds = -*seconds;
  return true;
}

bool timestamp_of(const uint8_t *text, int32_t bytes, enum zone zone, bool cut, int64_t *microseconds) {
  const uint8_t *end = text + bytes, *place = text + 10;
  int64_t days, fraction = 0, offset = 0;
  int hours = 0, minutes = 0, seconds = 0;
  if (bytes < 10 || !date_of(text, 10, &days)) return false;
  if (place < end) {
    if ((*place != 'T' && *place != ' ') || end - place < 6 || !two_digits(place + 1, &hours) || place[3] != ':' ||
        !two_digits(place + 4, &minutes) || hours > 23 || minutes > 59)
      return false;
    place += 6;
    if (place < end && *place == ':') {
      if (end - place < 3 || !two_digits(place + 1, &seconds) || seconds > 59) return false;
      place += 3;
      if (place < end && *place == '.') {
        const uint8_t *point = place++;
        int digits = 0;
        for (; place < end && (uint8_t)(*place - '0') < 10; place++)
          if (digits < 6) fraction = fraction * 10 + (*place - '0'), digits++;
        if (place == point + 1 || (!cut && place - point > 7)) return false;
        for (; digits < 6; digits++) fraction *= 10;
      }
    }
  } else if (zone == WITH_ZONE) {
    return false;
  }
  if (zone == WITH_ZONE) {
    if (!zone_of(place, end, &offset)) return false;
  } else if (place != end) {
    return false;
  }
  *microseconds = (days * 86400 + hours * 3600 + minutes * 60 + seconds - offset) * SECOND + fraction;
  return true;
}

static int hexadecimal(uint8_t byte) {
  uint8_t lower = byte | 0x20;
  if (byte >= '0' && byte <= '9') return byte - '0';
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool uuid_of(const uint8_t *text, int32_t bytes, uint8_t *uuid) {
  if (bytes != 36) return false;
  for (int i = 0, at = 0; i < 16; i++) {
    if (at == 8 || at == 13 || at == 18 || at == 23)
      if (text[at++] != '-') return false;
    int high = hexadecimal(text[at]), low = hexadecimal(text[at + 1]);
    if (high < 0 || low < 0) return false;
    uuid[i] = (uint8_t)(high << 4 | low);
    at += 2;
  }
  return true;
}
