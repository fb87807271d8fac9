"""One recipient that cannot be served, in a full batch."""

from broadsheet_local.chaos.faults.database import is_settled
from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import Stage
from broadsheet_local.chaos.verdict import Ending

FULL_BATCHES = StackOptions(settings={"FAN_OUT_PAGE_ROWS": "500"})


async def one_406(stage: Stage) -> None:
    """One inactive address inside a batch of 500: 499 are sent once, that one is suppressed, with the reason."""
    rule = {"kind": "item_errors", "name": "refused", "error_code": 406, "name_address": stage.chance(0.5)}
    await _one_refused(stage, rule, "suppressed")


async def one_300(stage: Stage) -> None:
    """One address that Postmark calls invalid inside a batch of 500: 499 are sent once, that one is failed."""
    rule = {"kind": "item_errors", "name": "refused", "error_code": 300}
    await _one_refused(stage, rule, "failed")


async def _one_refused(stage: Stage, rule: dict[str, object], ending: Ending) -> None:
    readers = await stage.readers(500 * stage.random.randint(1, 2))
    unlucky = stage.random.choice(sorted(readers.addresses))
    text = {} if ending == "suppressed" else {"message": f"Invalid 'To' address: '{unlucky}'."}
    await stage.slow_calls({**rule, **text, "recipients": [unlucky]}, high_ms=250)
    campaign = await stage.publish(readers)
    campaign.expect_final({unlucky: ending})
    await is_settled(stage, campaign)
    shown = await stage.api.deliveries(campaign.issue_id, ending)
    ids = [delivery.subscriber_id for delivery in shown]
    stage.expect(ids == [readers.subscriber_ids[unlucky]], f"{ending}: {ids}, not {readers.subscriber_ids[unlucky]}")
    stage.expect(shown and shown[0].reason, f"no reason is shown for the one that is {ending}")


async def poison_rows(stage: Stage) -> None:
    """Some recipients' mails cannot be rendered: they are set aside with the reason, and the issue finishes."""
    count = stage.random.randint(600, 1000)
    readers = await stage.readers(count)
    numbers = stage.random.sample(range(1, count + 1), stage.random.randint(1, 4))
    conditions = " or ".join(f'subscriber.name == "Reader {number}"' for number in numbers)
    # Comparing text with a number is a template error, and happens for these recipients only.
    html = f"<p>Hello.</p>{{% if {conditions} %}}{{% if subscriber.name > 3 %}}x{{% endif %}}{{% endif %}}"
    await stage.slow_calls(high_ms=250)
    campaign = await stage.publish(readers, html=html)
    poisoned: dict[str, Ending] = {
        email: "failed"
        for email in readers.addresses
        if email.partition("@")[0].rpartition("-")[2] in map(str, numbers)
    }
    campaign.expect_final(poisoned)
    await is_settled(stage, campaign)
    shown = await stage.api.deliveries(campaign.issue_id, "failed")
    stage.expect(
        {one.subscriber_id for one in shown} == {readers.subscriber_ids[email] for email in poisoned},
        f"{len(shown)} are shown as failed, not the {len(poisoned)} that cannot be rendered",
    )
    stage.expect(all(one.reason for one in shown), "a mail that could not be rendered shows no reason")
