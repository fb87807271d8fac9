"""Sample data of pages, for the preview and the tests."""
