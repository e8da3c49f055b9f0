"""The lake as a source."""
