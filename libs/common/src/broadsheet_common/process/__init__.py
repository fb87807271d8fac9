"""A service as a process: settings, logs, database pool, serving, tracing."""
