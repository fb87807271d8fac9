"""What programs look for below `/.well-known/` (RFC 8615)."""
