"""The delivery queue and its workers: claim, send through Postmark, account for every recipient.

A pass through the newsletter lane: `claim_chunk` leases a chunk, `compose_mail` renders its mails, `start_attempt`
commits "a call may be under way", `postmark` makes the call, `record_attempt` writes what became of each delivery.
The single-mail lane does the same in `single_mail`. `rescue_leases` finds what a dead worker held, `reconcile` settles
what may or may not have been sent, `finish_issues` closes an issue when every delivery is settled. `worker` runs them.
"""
