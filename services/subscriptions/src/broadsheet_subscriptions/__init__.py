"""Who subscribes to what: sign-up with double opt-in, confirmation, leaving.

Nouns (`subscriber_name`, `subscription`, `confirmation_token`, `confirmation_mail`) are pure. Use cases are verbs
(`subscribe`, `confirm`, `unsubscribe`), each one transaction. `store` is the SQL, `api` and `public_api` the routes,
`app` the wiring.
"""
