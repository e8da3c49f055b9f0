"""The loop: read, shape, land, commit, acknowledge."""
