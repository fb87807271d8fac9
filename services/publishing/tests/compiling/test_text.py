"""The plain text that is made of an issue."""

import msgspec
import pytest

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_body import Footer, TextBody
from broadsheet_common.mail.mail_template import SAMPLE_VALUES
from broadsheet_common.mail.template_work import Work
from broadsheet_publishing.compiling.compiled_issue import CompileError

from .compiled import LINK, LOOK, NAME, compiled, rendered

MARKDOWN = f"""\
# The morning after, {NAME}

Good *morning*, see [the harbour](https://e.com/a), <https://e.com/b> and <b>all</b> <a href="{LINK}">the rest</a>.[^1]

![A quiet harbour](a.png)

- one
- two
  1. three
  2. four

> said
> aloud

| Paper | Copies |
|---|---|
| Mail | 12 |
{{% if subscriber.name == 'Ada' %}}
| Post | 3 |
{{% endif %}}

```
code {{{{ x }}}}
```

---

{{% if subscriber.name == 'Ada' %}}
## For {NAME}
{{% else %}}
## For all
{{% endif %}}

End &amp; out.

[^1]: A note.
"""
TEXT = """\
The morning after, Ada
=============================

Good morning, see the harbour (https://e.com/a), https://e.com/b and all the rest (https://e.com/leave).[1]

[A quiet harbour]

- one
- two
  1. three
  2. four

> said
> aloud

Paper | Copies
------+-------
Mail  | 12
Post  | 3

    code {{ x }}

* * *

For Ada
--------------

End & out.

* * *

[1] A note.

--\x20
You get this because you subscribed to The Broadsheet.
Your preferences: https://example.com/unsubscribe/sample/choices

1 Press Lane
London
"""


def test_markdown_is_read_as_it_would_be_typed() -> None:
    text = compiled(MARKDOWN).text_content
    assert rendered(text, "text", subscriber_name="Ada", unsubscribe_url="https://e.com/leave") == TEXT


def test_a_branch_that_is_not_taken_leaves_no_blank_lines() -> None:
    text = rendered(compiled(MARKDOWN).text_content, "text", subscriber_name="")
    assert "* * *\n\nFor all\n-------\n\nEnd" in text
    assert "Mail  | 12\n\n    code" in text


def test_html_is_read_without_what_is_hidden() -> None:
    issue = compiled(
        f"<h1>Title</h1><p style='display:none'>never</p><p>Hi {NAME}, <a href='{LINK}'>leave</a></p>"
        "<table><tr><td>1</td></tr>{% if subscriber.name == 'Ada' %}<tr><td>2</td></tr>{% endif %}"
        "<tr><td>3</td></tr></table>"
        "<img src='a.png' alt='A picture'><style>p{}</style>",
        "html",
        preheader="In short",
    )
    text = rendered(issue.text_content, "text", subscriber_name="Ada", unsubscribe_url="https://e.com/leave")
    assert "Title" in text
    assert "Hi Ada, [leave](https://e.com/leave)" in text
    assert "[A picture]" in text
    assert text.index("1") < text.index("2") < text.index("3")
    for never in ("never", "In short", "p{}"):
        assert never not in text
    assert "2" not in rendered(issue.text_content, "text", subscriber_name="").partition("-- ")[0]


def test_a_text_that_is_given_is_taken_as_it_is() -> None:
    for format_, content in (("markdown", "x"), ("html", "<p>x</p>")):
        assert compiled(content, format_, text_content=f"Own {NAME}").text_content == f"Own {NAME}"  # type: ignore[arg-type]


def test_a_text_issue_has_no_html() -> None:
    issue = compiled(f"Hi {NAME}", "text", text_content="not used")
    assert issue.html_content is None
    assert issue.text_content == f"Hi {NAME}"


def test_delivery_adds_nothing_to_a_text_that_was_made() -> None:
    footer = Footer(newsletter_name=LOOK.newsletter_name, postal_address=LOOK.postal_address)
    for content in ("Hello", f"Hello [leave]({LINK})"):
        template = mail_template.parse(compiled(content).text_content, "text")
        body = TextBody(template, footer)
        assert msgspec.json.encode(body.render(SAMPLE_VALUES, Work())) == template.render_json(SAMPLE_VALUES)
        text = template.render(SAMPLE_VALUES).replace(SAMPLE_VALUES.preferences_url, "")
        assert text.count(SAMPLE_VALUES.unsubscribe_url) == 1


def test_html_that_only_pictures_are_in_needs_a_text_of_its_own() -> None:

    with pytest.raises(CompileError) as caught:
        compiled("<img src='a.png'>", "html")
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("empty", "text_content")]
    assert compiled("<img src='a.png'>", "html", text_content="x").html_content
