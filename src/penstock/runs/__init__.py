"""What a command or a clock performs: loads, consumers, watchers, replays."""
