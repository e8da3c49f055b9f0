"""Looks at a project, its sources and its warehouse without changing them."""
