"""A second person looks at an issue before it goes out."""
