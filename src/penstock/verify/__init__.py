"""Builds a project's models step by step over random change sets, in a scratch warehouse, beside full refreshes."""
