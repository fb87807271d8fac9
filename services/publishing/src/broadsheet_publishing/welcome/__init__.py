"""The welcome mail of a newsletter: what an author writes, and what delivery renders."""
