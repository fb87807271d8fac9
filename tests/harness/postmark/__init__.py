"""What Postmark sends back, made by hand."""
