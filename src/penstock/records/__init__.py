"""From bytes to records: files opened and decompressed, and cut into records."""
