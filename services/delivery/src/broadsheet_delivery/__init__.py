"""The delivery queue and its workers: claim, send through Postmark, account for every recipient.

A pass through the newsletter lane: `queue.claim_chunk` leases a chunk; `sending.send_chunk` composes its mails
(`composing`), commits that a call begins, calls Postmark (`postmark`) and stores the outcomes.
`sending.send_single_mails` does the same for single mails. `queue.rescue_leases` finds what dead workers held,
`settling.reconcile` settles what may or may not have been sent, and `settling.finish_issues` ends an issue when
every delivery in it is settled. `worker` runs the loops.
"""
