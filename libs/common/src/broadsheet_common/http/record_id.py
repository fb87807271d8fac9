"""Ids of records in paths, queries and bodies: positive, and within Postgres' bigint, so that no query fails on
them.
"""

from typing import Annotated

import msgspec
from litestar.params import PathParameter

RECORD_ID_MAX = 2**63 - 1

RecordId = Annotated[int, msgspec.Meta(ge=1, le=RECORD_ID_MAX)]
"""An id in a body."""

PathId = Annotated[int, PathParameter(ge=1, le=RECORD_ID_MAX)]
"""An id in a path; one that is out of range is answered as a malformed request."""
