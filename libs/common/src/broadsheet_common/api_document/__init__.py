"""What a service says of its API beyond what Litestar can derive."""
