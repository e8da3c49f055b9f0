"""Sources: where records come from. One file a kind, each implementing :class:`penstock.ports.Source`."""
