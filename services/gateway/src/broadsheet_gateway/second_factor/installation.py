"""What the installation requires of its users, as the API shows it."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from broadsheet_common.http.record_id import RecordId

NEWSLETTERS_MAX: Final = 100


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Who needs a second factor: with `requires_second_factor` every user, else those who have a role for one of
    `second_factor_newsletter_ids`, a role for every newsletter included.
    """

    requires_second_factor: bool
    second_factor_newsletter_ids: list[int]


class InstallationPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A member that is left out stays as it is. `second_factor_newsletter_ids` replace all."""

    requires_second_factor: bool | UnsetType = UNSET
    second_factor_newsletter_ids: Annotated[list[RecordId], msgspec.Meta(max_length=NEWSLETTERS_MAX)] | UnsetType = (
        UNSET
    )
