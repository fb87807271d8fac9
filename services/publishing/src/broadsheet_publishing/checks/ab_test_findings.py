"""What stands in the way of an A/B test, and what the other variants add to the findings; pure."""

from collections.abc import Iterable, Iterator

import msgspec

from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.variants.ab_test import AbTest


def check_ab_test(test: AbTest | None, *, tracks_opens: bool, tracks_links: bool) -> Iterator[Finding]:
    """What decides must be measured."""
    if test is None or test.decide_by == "hand":
        return
    if not (tracks_links if test.decide_by == "clicks" else tracks_opens):
        yield Finding(
            code="ab-test-not-measured",
            severity="blocks",
            detail=f"The A/B test is decided by {test.decide_by}, which the newsletter does not track.",
            advice="Track them in the newsletter's settings, or choose the winner by hand.",
        )


def only_of_variant(found: Iterable[Finding], variant: int, known: Iterable[Finding]) -> list[Finding]:
    """Those that the issue itself does not have, with the variant's number."""
    without = {_key(finding) for finding in known}
    return [msgspec.structs.replace(finding, variant=variant) for finding in found if _key(finding) not in without]


def _key(finding: Finding) -> bytes:
    return msgspec.json.encode(finding)
