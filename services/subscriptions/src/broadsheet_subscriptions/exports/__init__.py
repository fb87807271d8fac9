"""Exports: subscribers as CSV or JSON lines, streamed. The CSV can be imported again without loss."""
