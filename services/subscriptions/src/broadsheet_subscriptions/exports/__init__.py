"""Exports: subscribers as CSV or JSON lines, streamed; the CSV is one that an import takes back without loss."""
