"""The preference pages: what a subscriber can read, change or delete with a link that was just mailed to them."""
