"""What the other folders may use of this one's stores."""

from broadsheet_delivery.erasure.store import Whose, erased_among, forget_old_hashes, suppressed_while_erased, table_of

__all__ = ["Whose", "erased_among", "forget_old_hashes", "suppressed_while_erased", "table_of"]
