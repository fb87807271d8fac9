"""SQL that counts the outcomes of a chunk's deliveries, the same wherever a chunk is counted.

The counters come from the stored outcomes, never from what a worker believes it wrote: so a late worker and the
new owner of a rescued chunk agree. Deliveries handed over to the single-mail lane are counted there only.
"""

COUNTERS = """accepted_count = counted.accepted, failed_count = counted.failed,
           suppressed_count = counted.suppressed, excluded_count = counted.excluded,
           cancelled_count = counted.cancelled, handed_over_count = counted.handed_over"""
_COUNTED = """(
          SELECT count(*) FILTER (WHERE found.alone_seq IS NULL AND found.outcome = 'accepted') AS accepted,
                 count(*) FILTER (WHERE found.alone_seq IS NULL AND found.outcome = 'failed') AS failed,
                 count(*) FILTER (WHERE found.alone_seq IS NULL AND found.outcome = 'suppressed') AS suppressed,
                 count(*) FILTER (WHERE found.alone_seq IS NULL AND found.outcome = 'excluded') AS excluded,
                 count(*) FILTER (WHERE found.alone_seq IS NULL AND found.outcome = 'cancelled') AS cancelled,
                 count(found.alone_seq) AS handed_over,
                 count(*) AS settled
            FROM ({range}) AS chunk_range
           CROSS JOIN LATERAL (
                SELECT seq, outcome.outcome, alone.seq AS alone_seq
                  FROM (SELECT o.seq, o.outcome FROM delivery.delivery_outcome AS o
                         WHERE o.issue_id = chunk_range.issue_id
                           AND o.seq BETWEEN chunk_range.first_seq AND chunk_range.last_seq) AS outcome
                  FULL JOIN (SELECT m.seq FROM delivery.single_mail AS m
                              WHERE m.issue_id = chunk_range.issue_id
                                AND m.seq BETWEEN chunk_range.first_seq AND chunk_range.last_seq) AS alone USING (seq)
           ) AS found
      ) AS counted"""


def counted(chunk_range: str) -> str:
    """A derived table `counted` of one row; `chunk_range` is SQL for one row of issue_id, first_seq, last_seq."""
    return _COUNTED.format(range=chunk_range)
