"""What the other folders may use of this one's stores."""

from broadsheet_publishing.welcome.store import WelcomeRow, find_welcomes

__all__ = ["WelcomeRow", "find_welcomes"]
