"""Unsubscribing: by a link in a mail, by an operator, or because Postmark reported it."""
