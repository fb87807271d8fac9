"""What is held on a person: shown whole, and erased."""
