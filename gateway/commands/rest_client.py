"""A small client of the REST companions: sign the challenge, keep the token, ask."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from backstay.credentials import Credentials, load_secret

TIMEOUT_S = 10


class RestRefused(Exception):
    """The gateway said no: its `err`, and the status."""

    def __init__(self, status: int, failure: dict[str, Any]) -> None:
        super().__init__(f"{failure.get('code')}: {failure.get('text')}")
        self.status = status
        self.failure = failure


class RestClient:
    """One key's session with the REST companions at `url` (scheme, host and port)."""

    def __init__(self, url: str, *, key: str, secret: str, session: str = "rest", aud: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._aud = aud or urlsplit(url).hostname or ""
        self._credentials = Credentials(key, session, load_secret(secret))
        self.token = ""
        self.status = 0  # of the last answer
        self.content_type = ""
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def login(self) -> None:
        """Sign a challenge for a token. RestRefused when the gateway will not have the key."""
        challenge = await self._send("GET", "/v1/token", None, {})
        if challenge["aud"] != self._aud:
            raise RestRefused(0, {"code": "AUD_MISMATCH", "text": f"another gateway answered: {challenge['aud']}"})
        self.token = (await self._send("POST", "/v1/token", self.signed(challenge), {}))["token"]

    def signed(self, challenge: dict[str, Any]) -> dict[str, Any]:
        """The body that answers a challenge."""
        who = self._credentials
        sig = who.signature(aud=self._aud, nonce=challenge["nonce"])
        return {"nonce": challenge["nonce"], "key": who.key, "session": who.session, "sig": sig}

    async def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """The answer as plain data; RestRefused when it is an `err`."""
        if not self.token:
            await self.login()
        headers = {"Authorization": f"Bearer {self.token}"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return await self._send(method, path, body, headers)

    async def probe(self, path: str) -> dict[str, Any]:
        """An answer that needs no key."""
        return await self._send("GET", path, None, {})

    async def text(self, path: str, accept: str = "*/*") -> str:
        """A page that is not JSON and needs no key, such as `/metrics`."""
        async with self._session().get(self._url + path, headers={"Accept": accept}) as response:
            self.status, self.content_type = response.status, response.headers.get("Content-Type", "")
            return await response.text()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("use the client as a context manager")
        return self._http

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        async with self._session().request(method, self._url + path, json=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            self.status = response.status
            if response.status >= 300:
                raise RestRefused(response.status, answer)
            return answer
