/* Identities of messages: SHA-256 of a JSON array that holds the id, and of the second record of a message on also which
   record of it it is: ["id"], ["id","1"]. */
#include <stdio.h>

#include "reader.h"
#include "sha256.h"

#define PART_BYTES 24

/* Message i has the id data[offsets[i]] up to data[offsets[i + 1]], in UTF-8, and is record parts[i] of its message.
   hashes: 16 bytes for each. False without memory. */
EXPORTED int32_t penstock_message_identities(const uint8_t *data, const int32_t *offsets, const int64_t *parts,
                                             int64_t count, int32_t portable, uint8_t *hashes) {
  struct hashing hashing = {.portable = portable};
  bool whole = true;
  for (int64_t i = 0; i < count && whole; i++) {
    int64_t bytes = offsets[i + 1] - offsets[i];
    uint8_t *start = hashing_room(&hashing, 6 * bytes + PART_BYTES + 8), *to = start;
    whole = start != NULL;
    if (!whole) break;
    *to++ = '[';
    to = write_string(to, data + offsets[i], bytes);
    if (parts[i]) to += snprintf((char *)to, PART_BYTES + 4, ",\"%lld\"", (long long)parts[i]);
    *to++ = ']';
    hashing_add(&hashing, to - start, hashes + 16 * i);
  }
  hashing_finish(&hashing);
  hashing_free(&hashing);
  return whole;
}
