"""What differs between two texts."""

from hypothesis import given
from hypothesis import strategies as st

from broadsheet_publishing.drafts.compare_revisions import Block, compare_drafts
from broadsheet_publishing.drafts.draft import Draft

TEXTS = st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=40).map("\n".join)


def blocks(before: str, after: str) -> list[Block]:
    changes = compare_drafts(Draft(content=before), Draft(content=after))
    return changes[0].blocks if changes else []


@given(TEXTS, TEXTS)
def test_the_blocks_turn_the_one_text_into_the_other(before: str, after: str) -> None:
    old, new = before.split("\n"), after.split("\n")
    made: list[str] = []
    taken = 0
    for block in blocks(before, after):
        made += old[taken : block.before_line - 1]
        assert len(made) == block.after_line - 1
        removed = [line.text for line in block.lines if line.kind != "added"]
        assert old[block.before_line - 1 : block.before_line - 1 + len(removed)] == removed
        made += [line.text for line in block.lines if line.kind != "removed"]
        taken = block.before_line - 1 + len(removed)
    assert made + old[taken:] == new


def test_a_change_of_many_lines_is_one_block() -> None:
    before, after = ("\n".join(f"{word} {n}" for n in range(11_000)) for word in ("a", "b"))
    (block,) = blocks(before, after)
    assert len(block.lines) == 22_000


def test_a_plain_text_that_was_made_and_is_now_written_is_a_change() -> None:
    (change,) = compare_drafts(Draft(), Draft(text_content="Hello"))
    assert [(line.kind, line.text) for line in change.blocks[0].lines] == [("removed", ""), ("added", "Hello")]


def test_short_fields_are_given_whole() -> None:
    (change,) = compare_drafts(Draft(subject=None), Draft(subject="S"))
    assert (change.field, change.before, change.after, change.blocks) == ("subject", None, "S", [])
