"""Of the pages inside."""
