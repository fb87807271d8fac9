"""What the API shows of deliveries, and engagement of readers."""
