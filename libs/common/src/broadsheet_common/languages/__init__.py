"""The languages that readers are spoken to in, their catalogues, and how dates and times are written in them."""
