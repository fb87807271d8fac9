"""Reports of issues: figures rolled up from Postmark's events, and the answers made of them."""
