"""Records from HTTP APIs."""
