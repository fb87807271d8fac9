"""Who would get an issue, before it is published, and whether that has changed since its author looked."""
