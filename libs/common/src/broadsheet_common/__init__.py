"""What every Broadsheet service needs: process plumbing, and the contracts that cross services.

Plumbing: `settings`, `logs`, `tracing`, `problems`, `health`, `database`, `application`, `serving`, `pagination`,
`idempotency`. Contracts: `email_address`, `identity`, `link_token`, `queue`. Never business rules or routes.
"""
