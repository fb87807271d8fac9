"""Users, passwords, login and sessions."""
