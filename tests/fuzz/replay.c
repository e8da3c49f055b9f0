/* Runs the fuzzer's checks over files, and prints a digest of what the kernel makes of them: on every processor the same.

   tools/fuzz_kernel arm builds it for ARM, and runs it under qemu and here. */
#include <stdio.h>
#include <stdlib.h>

#include "arrow.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
void penstock_sha256(const uint8_t *message, int64_t bytes, int32_t portable, uint8_t *hash);

uint64_t digest = 14695981039346656037u; /* FNV-1a, 64 bits */

static void add(const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) digest = (digest ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
}

/* All of an array: fuzz_kernel.c calls it with every one that it gets. */
void seen(const struct ArrowArray *array, const enum type *types) {
  for (int64_t i = 0; i < array->n_children; i++) {
    const struct ArrowArray *column = array->children[i];
    add(&column->null_count, sizeof column->null_count);
    if (column->n_buffers == 3) {
      const int32_t *offsets = column->buffers[1];
      add(offsets, sizeof *offsets * (size_t)(column->length + 1));
      add(column->buffers[2], (size_t)offsets[column->length]);
    } else if (types[i] != TYPE_BOOLEAN) {
      add(column->buffers[1], (size_t)(column->length * width_of(types[i])));
    }
  }
}

int main(int count, char **names) {
  static uint8_t bytes[1 << 20];
  LLVMFuzzerInitialize(&count, &names);
  for (int i = 1; i < count; i++) {
    FILE *file = fopen(names[i], "rb");
    if (file == NULL) return 1;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    uint8_t hashes[2][16];
    fclose(file);
    for (int portable = 0; portable < 2; portable++) penstock_sha256(bytes, (int64_t)size, portable, hashes[portable]);
    if (memcmp(hashes[0], hashes[1], sizeof *hashes) != 0) return 2;
    add(hashes[0], sizeof *hashes);
    LLVMFuzzerTestOneInput(bytes, size);
  }
  printf("%d files, digest %016llx\n", count - 1, (unsigned long long)digest);
  return 0;
}
