"""Signatures as Standard Webhooks has them, judged by its own package."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from broadsheet_subscriptions.webhooks.sending.signature import SigningSecret, signed_headers

BODY = b'{"type":"subscriber.confirmed","data":{"subscriber":{"email":"j\xc3\xb6rg@example.com"}}}'


def headers(*secrets: SigningSecret, at: datetime | None = None, body: bytes = BODY) -> dict[str, str]:
    return signed_headers(message_id="msg_1", at=at or datetime.now(UTC), body=body, secrets_in_force=secrets)


def test_a_receiver_with_the_packages_verifier_takes_it() -> None:
    secret = SigningSecret.generate()
    assert Webhook(secret.reveal()).verify(BODY, headers(secret))


def test_it_is_the_same_signature_as_the_packages() -> None:
    secret, at = SigningSecret.generate(), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    ours = headers(secret, at=at)["webhook-signature"]
    assert ours == Webhook(secret.reveal()).sign("msg_1", at, BODY.decode())


def test_while_secrets_change_a_receiver_takes_it_by_either() -> None:
    old, new, other = (SigningSecret.generate() for _ in range(3))
    sent = headers(new, old)
    assert len(sent["webhook-signature"].split(" ")) == 2
    assert Webhook(old.reveal()).verify(BODY, sent)
    assert Webhook(new.reveal()).verify(BODY, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(other.reveal()).verify(BODY, sent)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_a_receiver_refuses_what_was_changed_on_the_way(changed: str) -> None:
    secret = SigningSecret.generate()
    sent, body = headers(secret), BODY
    if changed == "body":
        body = BODY.replace(b"confirmed", b"bounced")
    else:
        sent[changed] = str(int(sent[changed]) + 1) if changed == "webhook-timestamp" else "msg_2"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.reveal()).verify(body, sent)


def test_a_receiver_refuses_what_was_recorded_long_ago() -> None:
    secret = SigningSecret.generate()
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.reveal()).verify(BODY, headers(secret, at=datetime.now(UTC) - timedelta(minutes=6)))


def test_a_secret_is_256_bits_behind_the_prefix_and_shown_by_nothing_but_reveal() -> None:
    secret = SigningSecret.generate()
    assert secret.reveal().startswith("whsec_")
    assert SigningSecret.parse(secret.reveal()).reveal() == secret.reveal()
    assert SigningSecret.generate().reveal() != secret.reveal()
    assert secret.reveal() not in f"{secret!r} {secret}"


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "whsec_not base64", "secret"])
def test_what_is_no_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a signing secret$"):
        SigningSecret.parse(text)
