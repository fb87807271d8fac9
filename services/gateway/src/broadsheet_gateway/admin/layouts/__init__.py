"""Layouts: the documents that issues in Markdown are put into."""
