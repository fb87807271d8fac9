"""The public sign-up: pages, forms on other sites, and protection from abuse."""
