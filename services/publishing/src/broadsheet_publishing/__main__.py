"""`python -m broadsheet_publishing`, or `broadsheet-publishing`: serve until told to stop."""

from typing import NoReturn

from broadsheet_common.process.serving import run_service
from broadsheet_publishing.app import create_app
from broadsheet_publishing.settings import PublishingSettings


def main() -> NoReturn:
    run_service("publishing", PublishingSettings, create_app)


if __name__ == "__main__":
    main()
