"""Signatures as Standard Webhooks has them, judged by its own package; and secrets at rest."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from broadsheet_subscriptions.webhooks.endpoints.sealed_secret import SecretBox, UnreadableSecretError
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


OLD, NEW = "k1:" + "11" * 32, "k2:" + "22" * 32


def test_a_sealed_secret_opens_for_its_purpose_and_no_other() -> None:
    box = SecretBox.parse(OLD)
    sealed = box.seal("whsec_abc", purpose="webhook-endpoint:1")
    assert "abc" not in sealed
    assert box.open(sealed, purpose="webhook-endpoint:1") == "whsec_abc"
    with pytest.raises(UnreadableSecretError):
        box.open(sealed, purpose="webhook-endpoint:2")


def test_after_a_new_key_was_put_in_front_old_secrets_still_open() -> None:
    sealed = SecretBox.parse(OLD).seal("whsec_abc", purpose="a")
    both = SecretBox.parse(f"{NEW},{OLD}")
    assert both.open(sealed, purpose="a") == "whsec_abc"
    assert both.seal("whsec_abc", purpose="a").startswith("k2.")
    with pytest.raises(UnreadableSecretError):
        SecretBox.parse(NEW).open(sealed, purpose="a")


@given(st.text(max_size=80))
def test_what_nobody_sealed_does_not_open_and_nothing_breaks(text: str) -> None:
    with pytest.raises(UnreadableSecretError):
        SecretBox.parse(OLD).open(text, purpose="a")


@pytest.mark.parametrize(
    "text", ["", "k1", "k1:zz", "k1:" + "11" * 16, "k1:" + "11" * 64, OLD + ",", "K1:" + "11" * 32]
)
def test_keys_that_are_malformed_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        SecretBox.parse(text)
