"""Of the pages for readers."""
