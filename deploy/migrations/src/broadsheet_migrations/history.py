"""Where the history is, and how Alembic is pointed at it."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from alembic.config import Config

_HERE = Path(__file__).parent


def alembic_config(url: str) -> Config:
    """Alembic's configuration for the database at `url` (any `postgresql://` form)."""
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    # Kept out of the ini options, whose `%` is an interpolation mark: passwords may hold one.
    config.attributes["url"] = urlunsplit(urlsplit(url)._replace(scheme="postgresql+psycopg"))
    return config


def read_sql(name: str) -> str:
    """The text of `versions/<name>.sql`, for `op.execute` (which would take `:word` for a parameter)."""
    return (_HERE / "versions" / f"{name}.sql").read_text(encoding="utf-8").replace(":", r"\:")
