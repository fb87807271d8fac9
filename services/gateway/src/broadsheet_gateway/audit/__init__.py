"""The audit log: chaining its entries, verifying them, showing them, and streaming them to a file or to syslog."""
