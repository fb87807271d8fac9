"""A/B tests: the versions of an issue that are tried, and which of them wins."""
