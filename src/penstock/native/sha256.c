#include "sha256.h"

#include <stdatomic.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

#define BLOCK 64
#define HASH 16

static const uint32_t ROUND[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* ---- in plain C, four messages side by side ---- */

/* Four words of four messages: vectors that any compiler turns into what the processor has, SSE2 or NEON at least. */
typedef uint32_t words __attribute__((vector_size(16)));

static inline words turned(words word, int bits) { return word >> bits | word << (32 - bits); }

static inline uint32_t big_endian(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Add a block of each of four messages to their states. */
static void portable_block(words *state, const uint8_t *const *block) {
  words w[16], s[8];
  for (int i = 0; i < 16; i++)
    w[i] = (words){big_endian(block[0] + 4 * i), big_endian(block[1] + 4 * i), big_endian(block[2] + 4 * i),
                   big_endian(block[3] + 4 * i)};
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; i++) {
    words *next = &w[i & 15];
    if (i >= 16) {
      words before = w[(i - 15) & 15], last = w[(i - 2) & 15];
      *next += (turned(before, 7) ^ turned(before, 18) ^ before >> 3) + w[(i - 7) & 15] +
               (turned(last, 17) ^ turned(last, 19) ^ last >> 10);
    }
    words a = s[0], b = s[1], c = s[2], e = s[4], f = s[5], g = s[6];
    words one = s[7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[i] + *next;
    words two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    s[7] = g, s[6] = f, s[5] = e, s[4] = s[3] + one, s[3] = c, s[2] = b, s[1] = a, s[0] = one + two;
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

/* Hash up to four messages, of which shorter ones wait for longer ones. */
static void hash_portably(uint32_t state[][8], const struct waiting *waiting, int count) {
  static const uint8_t NOTHING[BLOCK];
  words states[8];
  int64_t most = 0;
  for (int i = 0; i < 8; i++) states[i] = (words){START[i], START[i], START[i], START[i]};
  for (int i = 0; i < count; i++)
    if (waiting[i].blocks > most) most = waiting[i].blocks;
  for (int64_t block = 0; block < most; block++) {
    const uint8_t *blocks[MAX_WAITING];
    for (int i = 0; i < MAX_WAITING; i++)
      blocks[i] = i < count && block < waiting[i].blocks ? waiting[i].message + block * BLOCK : NOTHING;
    portable_block(states, blocks);
    for (int i = 0; i < count; i++)
      if (block + 1 == waiting[i].blocks)
        for (int j = 0; j < 8; j++) state[i][j] = states[j][i];
  }
}

/* ---- with the instructions of x86-64 (Intel SHA Extensions) ---- */

#if defined(__x86_64__)
#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

/* Whether the processor has them; the library itself is built for any x86-64. */
static bool has_instructions(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b >> 29 & 1)) return false;
  return __get_cpuid(1, &a, &b, &c, &d) && (c >> 19 & 1) && (c >> 9 & 1);
}

/* The instructions want the state as ABEF and CDGH. */
struct halves {
  __m128i abef, cdgh;
};

WITH_SHA static inline struct halves halves_of(const uint32_t *state) {
  __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
  __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
  return (struct halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xF0)};
}

WITH_SHA static inline void store_halves(uint32_t *state, struct halves halves) {
  __m128i feba = _mm_shuffle_epi32(halves.abef, 0x1B), dchg = _mm_shuffle_epi32(halves.cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

WITH_SHA static inline void load_words(__m128i *w, const uint8_t *message) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
  for (int i = 0; i < 4; i++) w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(message + 16 * i)), swap);
}

WITH_SHA static inline void four_rounds(struct halves *s, __m128i w, int round) {
  __m128i sum = _mm_add_epi32(w, _mm_load_si128((const __m128i *)(ROUND + round)));
  s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, sum);
  s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

WITH_SHA static inline __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3) {
  __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
  return _mm_sha256msg2_epu32(sum, w3);
}

WITH_SHA static inline struct halves added(struct halves a, struct halves b) {
  return (struct halves){_mm_add_epi32(a.abef, b.abef), _mm_add_epi32(a.cdgh, b.cdgh)};
}

WITH_SHA static void one_by_instructions(uint32_t *state, const uint8_t *message, int64_t blocks) {
  struct halves s = halves_of(state);
  __m128i w[4];
  for (; blocks > 0; blocks--, message += BLOCK) {
    struct halves before = s;
    load_words(w, message);
    for (int i = 0; i < 4; i++) four_rounds(&s, w[i], 4 * i);
    for (int round = 16; round < 64; round += 16)
      for (int i = 0; i < 4; i++) {
        w[i] = next_words(w[i], w[(i + 1) & 3], w[(i + 2) & 3], w[(i + 3) & 3]);
        four_rounds(&s, w[i], round + 4 * i);
      }
    s = added(s, before);
  }
  store_halves(state, s);
}

WITH_SHA static void two_by_instructions(uint32_t *first, const uint8_t *message, uint32_t *second,
                                         const uint8_t *other, int64_t blocks) {
  struct halves s = halves_of(first), t = halves_of(second);
  __m128i v[4], w[4];
  for (; blocks > 0; blocks--, message += BLOCK, other += BLOCK) {
    struct halves s_before = s, t_before = t;
    load_words(v, message);
    load_words(w, other);
    for (int i = 0; i < 4; i++) {
      four_rounds(&s, v[i], 4 * i);
      four_rounds(&t, w[i], 4 * i);
    }
    for (int round = 16; round < 64; round += 16)
      for (int i = 0; i < 4; i++) {
        v[i] = next_words(v[i], v[(i + 1) & 3], v[(i + 2) & 3], v[(i + 3) & 3]);
        w[i] = next_words(w[i], w[(i + 1) & 3], w[(i + 2) & 3], w[(i + 3) & 3]);
        four_rounds(&s, v[i], round + 4 * i);
        four_rounds(&t, w[i], round + 4 * i);
      }
    s = added(s, s_before);
    t = added(t, t_before);
  }
  store_halves(first, s);
  store_halves(second, t);
}

/* ---- with those of ARM (FEAT_SHA256) ---- */

#elif defined(__aarch64__)
#if defined(__clang__)
#define WITH_SHA __attribute__((target("sha2")))
#else
#define WITH_SHA __attribute__((target("+crypto")))
#endif

static bool has_instructions(void) {
#if defined(__APPLE__)
  return true;
#elif defined(__linux__) && defined(AT_HWCAP)
  return getauxval(AT_HWCAP) >> 6 & 1; /* HWCAP_SHA2 */
#else
  return false;
#endif
}

WITH_SHA static void one_by_instructions(uint32_t *state, const uint8_t *message, int64_t blocks) {
  uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4), w[4];
  for (; blocks > 0; blocks--, message += BLOCK) {
    uint32x4_t abcd_before = abcd, efgh_before = efgh;
    for (int i = 0; i < 4; i++) w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(message + 16 * i)));
    for (int round = 0; round < 64; round += 16)
      for (int i = 0; i < 4; i++) {
        if (round)
          w[i] = vsha256su1q_u32(vsha256su0q_u32(w[i], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
        uint32x4_t sum = vaddq_u32(w[i], vld1q_u32(ROUND + round + 4 * i)), before = abcd;
        abcd = vsha256hq_u32(abcd, efgh, sum);
        efgh = vsha256h2q_u32(efgh, before, sum);
      }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}

static void two_by_instructions(uint32_t *first, const uint8_t *message, uint32_t *second, const uint8_t *other,
                                int64_t blocks) {
  one_by_instructions(first, message, blocks);
  one_by_instructions(second, other, blocks);
}

#else
static bool has_instructions(void) { return false; }
static void one_by_instructions(uint32_t *state, const uint8_t *message, int64_t blocks) {
  (void)state, (void)message, (void)blocks;
}
static void two_by_instructions(uint32_t *first, const uint8_t *message, uint32_t *second, const uint8_t *other,
                                int64_t blocks) {
  (void)first, (void)message, (void)second, (void)other, (void)blocks;
}
#endif

/* ---- messages that wait ---- */

static bool by_instructions(const struct hashing *hashing) {
  static atomic_int known; /* 0 not asked yet, 1 no, 2 yes */
  if (hashing->portable) return false;
  int answer = atomic_load_explicit(&known, memory_order_relaxed);
  if (answer == 0) {
    answer = has_instructions() ? 2 : 1;
    atomic_store_explicit(&known, answer, memory_order_relaxed);
  }
  return answer == 2;
}

static void store_hash(uint8_t *hash, const uint32_t *state) {
  for (int i = 0; i < HASH / 4; i++)
    for (int j = 0; j < 4; j++) hash[4 * i + j] = (uint8_t)(state[i] >> (24 - 8 * j));
}

uint8_t *hashing_room(struct hashing *hashing, int64_t bytes) {
  struct waiting *next = &hashing->waiting[hashing->count];
  int64_t wanted = bytes + 2 * BLOCK + SLACK;
  if (UNLIKELY(next->capacity < wanted)) {
    free(next->message);
    next->message = malloc((size_t)(2 * wanted));
    next->capacity = next->message == NULL ? 0 : 2 * wanted;
  }
  return next->message;
}

void hashing_add(struct hashing *hashing, int64_t bytes, uint8_t *hash) {
  struct waiting *next = &hashing->waiting[hashing->count++];
  next->blocks = (bytes + 9 + BLOCK - 1) / BLOCK;
  next->hash = hash;
  uint8_t *end = next->message + next->blocks * BLOCK;
  memset(next->message + bytes, 0, (size_t)(next->blocks * BLOCK - bytes));
  next->message[bytes] = 0x80;
  uint64_t bits = (uint64_t)bytes * 8;
  for (int i = 1; i <= 8; i++, bits >>= 8) end[-i] = (uint8_t)bits;
  if (hashing->count == (by_instructions(hashing) ? 2 : MAX_WAITING)) hashing_finish(hashing);
}

/* Hash one message or two. */
static void hash_by_instructions(uint32_t state[][8], const struct waiting *waiting, int count) {
  int64_t done = 0;
  for (int i = 0; i < count; i++) memcpy(state[i], START, sizeof START);
  if (count == 2) {
    done = waiting[0].blocks < waiting[1].blocks ? waiting[0].blocks : waiting[1].blocks;
    two_by_instructions(state[0], waiting[0].message, state[1], waiting[1].message, done);
  }
  for (int i = 0; i < count; i++)
    one_by_instructions(state[i], waiting[i].message + done * BLOCK, waiting[i].blocks - done);
}

void hashing_finish(struct hashing *hashing) {
  uint32_t state[MAX_WAITING][8];
  if (hashing->count == 0) return;
  (by_instructions(hashing) ? hash_by_instructions : hash_portably)(state, hashing->waiting, hashing->count);
  for (int i = 0; i < hashing->count; i++) store_hash(hashing->waiting[i].hash, state[i]);
  hashing->count = 0;
}

void hashing_free(struct hashing *hashing) {
  for (int i = 0; i < MAX_WAITING; i++) free(hashing->waiting[i].message);
}

EXPORTED void penstock_sha256(const uint8_t *message, int64_t bytes, int32_t portable, uint8_t *hash) {
  struct hashing hashing = {.portable = portable};
  uint8_t *room = hashing_room(&hashing, bytes);
  if (room != NULL) {
    memcpy(room, message, (size_t)bytes);
    hashing_add(&hashing, bytes, hash);
    hashing_finish(&hashing);
  }
  hashing_free(&hashing);
}
