"""From what an author wrote to the templates that delivery renders."""
