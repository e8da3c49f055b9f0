/* Numbers: which spelling is their own, and what they are as integers, doubles and decimals. */
#ifndef PENSTOCK_NUMBERS_H
#define PENSTOCK_NUMBERS_H

#include "reader.h"

/* Read the number at `place`, as read_value does. It is left when its canonical spelling would be another one. */
const uint8_t *read_number(struct reader *reader, const uint8_t *place, const uint8_t *end, struct value *value);

/* Text that spells an integer of 64 bits: no plus sign, no zeros in front. */
bool integer_of(const uint8_t *text, int32_t bytes, int64_t *integer);

/* The double of a number that read_number took, correctly rounded. */
double double_of(const uint8_t *text, int32_t bytes);

/* Text that spells a double exactly as the other lanes take it: at most 15 digits, and no exponent. */
bool spelt_double(const uint8_t *text, int32_t bytes, double *number);

/* A number without an exponent as decimal(precision, scale); false when digits would be lost, or are too many. */
bool decimal_of(const uint8_t *text, int32_t bytes, int precision, int scale, __int128 *decimal);

#endif
