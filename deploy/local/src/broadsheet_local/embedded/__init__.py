"""The embedded stores and where they live: Postgres, Redis, ports, secrets, the data folder."""
