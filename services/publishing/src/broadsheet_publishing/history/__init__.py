"""Who did what with an issue, and when."""
