"""After the call: uncertain deliveries, decisions by operators, cancelled, failed and finished issues."""
