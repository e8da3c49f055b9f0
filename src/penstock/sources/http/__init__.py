"""Records from HTTP APIs: a client, and the endpoints that it reads, page by page."""
