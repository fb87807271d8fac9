"""The provider: where the browser is sent, and who it is that comes back with a code.

What it says of itself, and its keys, are kept for an hour. A key that is not among them is looked for once more, at
most once a minute: a token that names made-up keys makes nobody ask the provider each time.
"""

import asyncio
import base64
import hmac
from time import monotonic
from typing import Final
from urllib.parse import quote_plus

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import KeySet
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_gateway.oidc.calls import ProviderCalls
from broadsheet_gateway.oidc.configuration import OidcConfiguration
from broadsheet_gateway.oidc.faults import ProviderFault
from broadsheet_gateway.oidc.id_token import Expected, ProviderIdentity, import_keys, key_id_of, read_id_token
from broadsheet_gateway.oidc.metadata import ProviderMetadata, discovery_url, read_metadata
from broadsheet_gateway.oidc.store import read_clock_s

KEPT_S: Final = 3600
KEYS_AGAIN_AFTER_S: Final = 60


class Provider:
    """Every method raises `ProviderFault`. No transaction is open while the provider is asked."""

    def __init__(self, configuration: OidcConfiguration, calls: ProviderCalls, engine: AsyncEngine) -> None:
        self.configuration = configuration
        self._calls = calls
        self._engine = engine
        self._metadata: tuple[float, ProviderMetadata] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._fetching = asyncio.Lock()

    async def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the browser goes to prove who it is (RFC 6749, 4.1.1; PKCE: RFC 7636)."""
        metadata = await self.read_metadata_kept()
        return str(
            prepare_grant_uri(
                metadata.authorization_endpoint,
                client_id=self.configuration.client_id,
                response_type="code",
                redirect_uri=self.configuration.redirect_uri,
                scope=self.configuration.scope,
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
                max_age=self.configuration.max_age_s,
            )
        )

    async def check_response_issuer(self, issuer: str | None) -> None:
        """RFC 9207: the parameter `iss` of the answer; None: there was none."""
        metadata = await self.read_metadata_kept()
        if issuer is None and not metadata.sends_issuer:
            return
        if issuer is None or not hmac.compare_digest(issuer.encode(), self.configuration.issuer.encode()):
            raise ProviderFault("wrong_response_issuer")

    async def identify(self, code: str, *, verifier: str, nonce: str) -> tuple[ProviderIdentity, int]:
        """Who the code stands for, and what time it is (seconds since 1970, by the database's clock)."""
        metadata = await self.read_metadata_kept()
        answer = await self._exchange(metadata, code, verifier)
        token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str) or not isinstance(access_token, str | None):
            raise ProviderFault("provider_answer_malformed")
        keys = await self._keys_for(metadata, key_id_of(token))
        now_s = await read_clock_s(self._engine)
        expected = Expected(
            issuer=self.configuration.issuer,
            client_id=self.configuration.client_id,
            nonce=nonce,
            access_token=access_token,
            now_s=now_s,
        )
        identity = read_id_token(
            token,
            keys,
            expected,
            algorithms=metadata.algorithms,
            groups_claim=self.configuration.groups_claim,
        )
        return identity, now_s

    def forget(self) -> None:
        """What the provider said is asked for anew."""
        self._metadata = self._keys = None

    async def aclose(self) -> None:
        await self._calls.aclose()

    async def _exchange(self, metadata: ProviderMetadata, code: str, verifier: str) -> dict[str, object]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.configuration.redirect_uri,
            "code_verifier": verifier,
        }
        client_id, secret = self.configuration.client_id, self.configuration.client_secret
        headers: dict[str, str] = {}
        if metadata.sends_secret_in_body:
            form |= {"client_id": client_id, "client_secret": secret}
        else:
            # RFC 6749, 2.3.1: each is form-encoded before the two are joined.
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        answer = await self._calls.post(metadata.token_endpoint, form, headers)
        if answer is None:
            raise ProviderFault("code_refused")
        return answer

    async def read_metadata_kept(self) -> ProviderMetadata:
        async with self._fetching:
            if self._metadata is None or monotonic() - self._metadata[0] > KEPT_S:
                document = await self._calls.get(discovery_url(self.configuration.issuer))
                read = read_metadata(
                    document, issuer=self.configuration.issuer, needs_https=self.configuration.needs_https
                )
                self._metadata = (monotonic(), read)
            return self._metadata[1]

    async def _keys_for(self, metadata: ProviderMetadata, key_id: str | None) -> KeySet:
        async with self._fetching:
            if self._keys is not None:
                age_s = monotonic() - self._keys[0]
                is_known = key_id is None or any(key.kid == key_id for key in self._keys[1])
                if age_s <= (KEPT_S if is_known else KEYS_AGAIN_AFTER_S):
                    return self._keys[1]
            keys = import_keys(await self._calls.get(metadata.jwks_uri))
            self._keys = (monotonic(), keys)
            return keys


class ProviderDoor:
    """The provider, if one is set."""

    def __init__(self, provider: Provider | None) -> None:
        self.provider = provider

    async def aclose(self) -> None:
        if self.provider is not None:
            await self.provider.aclose()
