"""From an issue and a recipient to a message."""
