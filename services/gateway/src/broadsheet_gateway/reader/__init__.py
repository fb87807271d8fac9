"""Pages of readers: links in mail, preferences, erasure."""
