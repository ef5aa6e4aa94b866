"""Clients of a deployment, as its users have them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backstay import Gateway
from gateway.commands.rest_client import RestClient
from gateway.demo.deployment import Deployment


@asynccontextmanager
async def client(deployment: Deployment, account: str, session: str = "accept") -> AsyncIterator[Gateway]:
    """The SDK, logged in with the account's own key."""
    gateway = Gateway(
        deployment.ws_url, key=account, secret=deployment.secret(account), account=account, session=session
    )
    async with gateway:
        yield gateway


@asynccontextmanager
async def clients(deployment: Deployment, accounts: list[str]) -> AsyncIterator[list[Gateway]]:
    """One for each account."""
    opened = [
        Gateway(deployment.ws_url, key=name, secret=deployment.secret(name), account=name, session="accept")
        for name in accounts
    ]
    try:
        await asyncio.gather(*(gateway.open() for gateway in opened))
        yield opened
    finally:
        await asyncio.gather(*(gateway.close() for gateway in opened), return_exceptions=True)


@asynccontextmanager
async def rest(deployment: Deployment, key: str) -> AsyncIterator[RestClient]:
    """The REST companions with a key."""
    async with RestClient(deployment.http_url, key=key, secret=deployment.secret(key)) as opened:
        yield opened
