"""What slows or stops sending: pauses, limits, the circuit breaker and waits between tries."""
