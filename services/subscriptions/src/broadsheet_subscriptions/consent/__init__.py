"""What people agreed to: the record of it, and the API that shows it."""
