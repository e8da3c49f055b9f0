"""Whether a model can be built scope by scope, told from its SQL."""
