"""Figures: of the database, the processes, the sandbox's log."""
