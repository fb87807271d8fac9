"""API keys: one's own, and for owners everybody's."""
