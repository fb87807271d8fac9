"""Background work: one runner drives every loop of every service.

`loop` declares a loop, `runner` drives it and keeps its result, `status` is its state as readiness and metrics
show it, and `set_aside` keeps one item that always fails from blocking the others.
"""
