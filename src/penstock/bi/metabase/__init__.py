"""Provisions Metabase, of the open-source edition, over its REST API."""
