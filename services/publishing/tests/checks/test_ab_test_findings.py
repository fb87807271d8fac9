"""What the checks find of A/B tests."""

from broadsheet_publishing.checks.ab_test_findings import check_ab_test, only_of_variant
from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.variants.ab_test import AbTest, DecideBy, OtherVersion

from ..conftest import Publishing


def codes(decide_by: DecideBy, *, opens: bool = False, links: bool = False) -> list[str]:
    test = AbTest(others=(OtherVersion(subject="x"),), decide_by=decide_by)
    return [finding.code for finding in check_ab_test(test, tracks_opens=opens, tracks_links=links)]


def test_what_decides_must_be_measured() -> None:
    assert codes("clicks") == codes("opens", links=True) == ["ab-test-not-measured"]
    assert codes("clicks", links=True) == codes("opens", opens=True) == codes("hand") == []
    assert list(check_ab_test(None, tracks_opens=False, tracks_links=False)) == []


def test_what_a_variant_shares_with_the_issue_is_told_once() -> None:
    shared = Finding(code="link-over-http", severity="warns", detail="One", advice="", field="content", line=1)
    own = Finding(code="subject-long", severity="warns", detail="Two", advice="", field="subject")
    assert [(one.code, one.variant) for one in only_of_variant([shared, own], 2, [shared])] == [("subject-long", 2)]


async def test_the_checks_look_at_every_variant_and_block_the_publication(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    others = [{"subject": "S" * 90}, {"content": '<p>Look <a href="/here">here</a></p>'}]
    written = await publishing.write_issue(ab_test={"others": others})
    issue_id = written.json()["id"]
    found = (await publishing.post(f"issues/{issue_id}/checks", {})).json()["findings"]
    told = {(one["code"], one.get("variant")) for one in found}
    assert {("ab-test-not-measured", None), ("subject-long", 2), ("link-relative", 3)} <= told
    assert ("link-relative", None) not in told
    refused = await publishing.publish(issue_id)
    assert refused.status_code == 422
    assert {error["pointer"] for error in refused.json()["errors"]} == {"", "/ab_test/others/1/content"}
