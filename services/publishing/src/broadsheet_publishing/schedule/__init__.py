"""Publishing an issue at a chosen time."""
