"""Issues: written, published, cancelled."""
