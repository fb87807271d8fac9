"""People let others in by a mail with a link, at which these make their own account."""
