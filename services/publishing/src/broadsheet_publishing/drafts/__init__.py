"""Drafts: saving what an author writes, and every version of it."""
