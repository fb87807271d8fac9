"""Whether a newsletter can publish, and what it lacks if not."""

from typing import Final

from broadsheet_common.http.problems import ConflictError, FieldProblem
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.newsletter import MissingSetting, missing_settings
from broadsheet_publishing.newsletters.store import NewsletterRow

_WORDS: Final[dict[MissingSetting, str]] = {"from_email": "sender address", "postal_address": "postal address"}


class NewsletterNotReadyError(ConflictError):
    slug, title = "newsletter-not-ready", "The newsletter lacks what every mail needs"


def require_ready(newsletter: NewsletterRow, installation: Installation) -> None:
    """Raises `NewsletterNotReadyError`, which names every setting that is missing."""
    if newsletter.archived_at is not None:
        raise NewsletterNotReadyError("The newsletter is archived.")
    missing = missing_settings(
        from_email=newsletter.from_email,
        postal_address=newsletter.postal_address,
        installation_has_sender=installation.sender is not None,
    )
    if missing:
        raise NewsletterNotReadyError(
            f"It has no {' and no '.join(_WORDS[name] for name in missing)}. Set it in the newsletter's settings.",
            errors=tuple(FieldProblem(pointer=f"/{name}", detail="It is not set.") for name in missing),
        )
