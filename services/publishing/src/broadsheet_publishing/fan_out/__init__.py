"""From a published issue to deliveries in the queue."""
