"""Mail: addresses and the template language."""
