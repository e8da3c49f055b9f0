"""Personal data: who may see it, how it is masked, and how a person is erased."""
