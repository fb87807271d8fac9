"""A person's own pages: what they read, change and take away with a link that was mailed to them a moment ago."""
