"""The words of pages for readers, by language: the catalogues of this package."""

from typing import Final

from broadsheet_common.languages.catalogue import Catalogues, load_catalogues

CATALOGUES: Final[Catalogues] = load_catalogues("broadsheet_gateway.pages.for_readers")
