"""SQL that looks up the recipient of a delivery, the same in every query that needs it."""


def join_person(subscriber_id: str) -> str:
    """LEFT JOINs `person` (the subscription and its subscriber now) and `suppression`, by a column of the query.

    Takes the parameters `newsletter_id` and `stream`. People are looked up one by one (LATERAL … LIMIT 1): when the
    statistics date from before the issue was enqueued, the planner would join the whole newsletter for each chunk.
    """
    return f"""
              LEFT JOIN LATERAL (
                   SELECT * FROM subscriptions.published_recipients AS found
                    WHERE found.newsletter_id = :newsletter_id AND found.subscriber_id = {subscriber_id}
                    LIMIT 1
              ) AS person ON true
              LEFT JOIN LATERAL (
                   SELECT found.reason FROM delivery.suppression AS found
                    WHERE found.message_stream = :stream AND found.email_key = person.email_key
                      AND found.active
                    LIMIT 1
              ) AS suppression ON true
    """  # noqa: S608  # a column's name, from our own code
