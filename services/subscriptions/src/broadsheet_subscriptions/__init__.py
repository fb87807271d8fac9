"""Subscribers: who subscribes to what.

A folder for each thing that happens: `sign_up` (double opt-in), `consent`, `leaving`, `preferences`,
`personal_data`, `subscribers`, `attributes`, `segments`, `imports`, `exports`, `webhooks`. In each, nouns are
pure, verbs are use cases of one transaction, `store` is the SQL and `api` the routes. `tables` declares the
tables, `app` is the wiring.
"""
