"""Leaving: by a link in a mail, by the operator, by what Postmark says."""
