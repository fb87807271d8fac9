"""Newsletters and their issues: write, publish, schedule, and fan an issue out into the delivery queue.

`newsletters`, `issues`, `schedule` and `fan_out` each hold their use cases (verbs, one transaction each), pure
nouns, SQL (`store`) and routes (`api`). `app` is the wiring.
"""
