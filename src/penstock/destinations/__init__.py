"""Destinations: the warehouses. One file a kind, each implementing :class:`penstock.ports.Destination`."""
