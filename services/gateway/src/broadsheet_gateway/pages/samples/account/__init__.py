"""Of the pages about users and about one's own account."""
