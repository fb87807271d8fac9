"""What crosses between services: identity, queue, audiences, erasure, tokens."""
