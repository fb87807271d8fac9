"""`/api/v1`: who is asking, which service owns the path, and passing the request on."""
