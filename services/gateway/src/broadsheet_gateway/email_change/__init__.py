"""A user's new e-mail address, confirmed by a link in each of both mailboxes."""
