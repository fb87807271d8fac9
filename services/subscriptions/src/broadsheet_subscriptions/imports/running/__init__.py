"""Running an import: leases, batches, the worker."""
