"""What the tests use: real Postgres and Redis, the sandbox, and a driver for the whole system."""
