"""Sources: where records come from. A folder a kind, each implementing :class:`penstock.ports.Source`."""
