"""Rate limits, in Redis or in the process."""
