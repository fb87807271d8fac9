"""API keys: their format, creating and checking them."""
