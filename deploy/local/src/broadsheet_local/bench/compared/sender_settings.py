"""The settings of a compared sender: one JSON text in its environment, because it holds a password."""

import os

import msgspec

SETTINGS_VARIABLE = "BENCH_SENDER"
BATCH = 500


class SenderSettings(msgspec.Struct, frozen=True):
    database_url: str
    sandbox_url: str
    sandbox_token: str
    public_url: str
    calls: int
    mails: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-Postmark-Server-Token": self.sandbox_token,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }


def read_settings() -> SenderSettings:
    return msgspec.json.decode(os.environ[SETTINGS_VARIABLE], type=SenderSettings)
