"""Mails that tell users what was done to their accounts, so that they notice if it was not them."""
