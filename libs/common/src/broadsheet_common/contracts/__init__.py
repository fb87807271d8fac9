"""Contracts between services: identity, queue, audiences, erasure, tokens."""
