"""What a command or a clock performs."""
