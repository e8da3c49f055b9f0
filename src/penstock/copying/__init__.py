"""Copies what has landed in one destination of a project to another: raw tables, ledger and quarantine.

Rows keep the loads that landed them, so that whoever loads into the copy goes on where the source stood. Models are
not copied: they are built from the copied rows.
"""
