"""Who subscribes to what.

`sign_up` is arriving (double opt-in, consent), `leaving` every way out, `people` the subscribers themselves and the API
on them. Within each, nouns are pure, verbs are use cases of one transaction, `store` is the SQL, `api` the routes.
`tables` are the tables, `public_api` what the public pages ask for, `prune` what expires, `app` the wiring.
"""
