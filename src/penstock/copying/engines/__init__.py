"""The ends of copies, a module for each kind of destination."""
