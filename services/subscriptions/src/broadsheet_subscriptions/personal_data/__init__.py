"""The data held about a person: export and erasure."""
