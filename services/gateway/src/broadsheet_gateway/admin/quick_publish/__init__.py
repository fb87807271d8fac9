"""The quick way to publish an issue, as in the original."""
