"""Writes a project's questions as a ZIP that Apache Superset imports."""
