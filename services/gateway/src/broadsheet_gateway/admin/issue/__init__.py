"""One issue: its state, its progress, its report."""
