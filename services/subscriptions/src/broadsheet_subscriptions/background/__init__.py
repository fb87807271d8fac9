"""Background work of the service: pruning."""
