"""What an author should mend before an issue is sent. Pure, but for `links/check_links.py` and the store."""
