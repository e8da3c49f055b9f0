"""A project's questions, answered: in the terminal, and as one HTML page."""
