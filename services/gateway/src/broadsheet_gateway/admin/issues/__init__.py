"""The list of issues, and new drafts."""
