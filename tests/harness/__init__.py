"""What the tests stand on: real Postgres and Redis, the sandbox, and a driver for the whole system."""
