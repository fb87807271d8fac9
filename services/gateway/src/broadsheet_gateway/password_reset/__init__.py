"""A new password by a link in a mail, for people who have lost theirs."""
