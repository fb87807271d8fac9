"""Newsletters and their issues: write, publish, and fan an issue out into the delivery queue.

`issue` is pure: what an issue may hold, and what its status is. Use cases are verbs (`create_issue`, `publish_issue`,
`fan_out`), each one transaction. `fan_out_worker` runs `fan_out` for as long as the app lives. `store` is the SQL,
`api` the routes, `app` the wiring.
"""
