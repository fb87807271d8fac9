"""The settings of newsletters."""
