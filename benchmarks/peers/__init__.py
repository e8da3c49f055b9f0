"""Other tools doing the same jobs, each script for an environment of its own: nothing of Penstock is imported here."""
