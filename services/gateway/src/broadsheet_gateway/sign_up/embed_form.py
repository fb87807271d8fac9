"""The sign-up form as plain HTML for a newsletter's own site, pure: no script, no style sheet, no cookie."""

from html import escape

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook
from broadsheet_gateway.pages.for_readers.words import CATALOGUES
from broadsheet_gateway.sign_up.guard import TRAP_FIELD

WORDING_FIELD = "wording"


def embed_form(*, action: str, look: NewsletterLook, button: str = "", tracking: str = "") -> str:
    """In the newsletter's language. `action` is the absolute address that it is sent to. `button` empty: our own word.
    `tracking`: what the mails report back, if anything.
    """
    translate = CATALOGUES[look.words]
    wording = current_wording(look.words)
    return _FORM.format(
        action=escape(action),
        language=look.words,
        name=escape(translate("Name")),
        email=escape(translate("E-mail address")),
        empty=escape(translate("Leave this field empty")),
        button=escape(button or translate("Subscribe")),
        tracking=f"\n  <p><small>{escape(tracking)}</small></p>" if tracking else "",
        trap=TRAP_FIELD,
        wording_field=WORDING_FIELD,
        version=wording.version,
        sentence=escape(wording.text),
    )


_FORM = """\
<form method="post" action="{action}" accept-charset="UTF-8" lang="{language}">
  <p><label>{name} <input name="name" autocomplete="name" required></label></p>
  <p><label>{email} <input name="email" type="email" autocomplete="email" required></label></p>
  <p style="position:absolute; left:-100vw;" aria-hidden="true">
    <label>{empty} <input name="{trap}" tabindex="-1" autocomplete="off"></label></p>
  <input type="hidden" name="{wording_field}" value="{version}">
  <p><button type="submit">{button}</button></p>
  <p><small>{sentence}</small></p>{tracking}
</form>
"""
