"""Content codings (RFC 9110, 8.4): answers that are compressed, and bodies that came so."""
