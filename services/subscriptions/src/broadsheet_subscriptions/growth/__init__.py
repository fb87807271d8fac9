"""The growth of newsletters: how many people joined and left, by day."""
