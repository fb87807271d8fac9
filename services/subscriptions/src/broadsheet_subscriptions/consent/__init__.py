"""The consent record: what people agreed to, and the API that shows it."""
