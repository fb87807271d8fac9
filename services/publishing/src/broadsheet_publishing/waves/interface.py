"""What the other folders may use of this one's stores."""

from broadsheet_publishing.waves.open_waves import open_waves

__all__ = ["open_waves"]
