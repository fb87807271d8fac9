"""The log of webhook deliveries."""
