"""The sign-up form as plain HTML for a newsletter's own site, pure: no script, no style sheet, no cookie."""

from html import escape

from broadsheet_common.contracts.consent_wording import CURRENT_VERSION, CURRENT_WORDING
from broadsheet_gateway.sign_up.guard import TRAP_FIELD

WORDING_FIELD = "wording"


def embed_form(*, action: str, button: str = "", tracking: str = "") -> str:
    """`action` is the absolute address that it is sent to. `button` empty: "Subscribe". `tracking`: what the mails
    report back, if anything.
    """
    return _FORM.format(
        action=escape(action),
        button=escape(button or "Subscribe"),
        tracking=f"\n  <p><small>{escape(tracking)}</small></p>" if tracking else "",
        trap=TRAP_FIELD,
        wording_field=WORDING_FIELD,
        version=CURRENT_VERSION,
        sentence=escape(CURRENT_WORDING),
    )


_FORM = """\
<form method="post" action="{action}" accept-charset="UTF-8">
  <p><label>Name <input name="name" autocomplete="name" required></label></p>
  <p><label>E-mail address <input name="email" type="email" autocomplete="email" required></label></p>
  <p style="position:absolute; left:-100vw;" aria-hidden="true">
    <label>Leave this field empty <input name="{trap}" tabindex="-1" autocomplete="off"></label></p>
  <input type="hidden" name="{wording_field}" value="{version}">
  <p><button type="submit">{button}</button></p>
  <p><small>{sentence}</small></p>{tracking}
</form>
"""
