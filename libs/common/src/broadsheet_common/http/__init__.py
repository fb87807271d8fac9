"""HTTP: the application every service starts from, problems, paging, idempotency, health."""
