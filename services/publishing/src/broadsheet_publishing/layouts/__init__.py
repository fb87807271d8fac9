"""Layouts of one's own, which wrap the content of Markdown issues."""
