"""Background work: one runner drives every loop of every service.

`loop` declares a loop, `runner` drives it and keeps its result, `status` is what readiness and metrics show of it, and
`set_aside` keeps one item that always fails from holding up the others.
"""
