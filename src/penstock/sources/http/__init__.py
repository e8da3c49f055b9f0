"""HTTP APIs as a source: records of paginated endpoints."""
