"""What is held on people: shown whole, and erased."""
