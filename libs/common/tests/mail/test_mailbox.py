"""Names and addresses in `From`."""

from email.utils import parseaddr

import pytest

from broadsheet_common.mail.mailbox import mailbox

ADDRESS = "letter@example.com"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("", ADDRESS),
        ("Garden Letter", f"Garden Letter <{ADDRESS}>"),
        ("Garden, Letter", f'"Garden, Letter" <{ADDRESS}>'),
        ('The "Letter"', f'"The \\"Letter\\"" <{ADDRESS}>'),
        ("Le marché", f"Le marché <{ADDRESS}>"),
        ("園芸だより", f"園芸だより <{ADDRESS}>"),
    ],
)
def test_a_name_is_quoted_where_it_must_be_and_stays_in_its_letters(name: str, written: str) -> None:
    assert mailbox(name, ADDRESS) == written
    assert parseaddr(mailbox(name, ADDRESS)) == (name, ADDRESS)
