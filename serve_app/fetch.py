"""Fetching one small document from an issuer, such as its keys or what it says of a token."""

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx

FETCH_SECONDS: Final = 5.0
"""Long enough for a distant issuer; a request may be waiting."""

POST_SECONDS: Final = 4.0
"""A request is waiting, and Auth with it, which is not waited for as long as `FETCH_SECONDS` allows."""

MAX_DOCUMENT_BYTES: Final = 256 * 1024
"""Some hundred keys; the largest public key sets have about a dozen."""

_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}
"""The size limit counts what arrives."""


async def fetch(url: str) -> bytes:
    """Fetch a document by GET; redirects are not followed.

    Raises:
        OSError: there was no complete answer with status 200 in time, or it was too large. The message does not
            repeat the URL, which may hold a secret.
    """
    return await _ask("GET", url, None, _HEADERS, FETCH_SECONDS)


async def post_form(url: str, form: Mapping[str, str], authorization: str) -> bytes:
    """Post a form, and give what comes back; redirects are not followed.

    Raises:
        OSError: as for `fetch`; the message repeats nothing of what was sent, either.
    """
    return await _ask("POST", url, form, {**_HEADERS, "authorization": authorization}, POST_SECONDS)


async def _ask(
    method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str], seconds: float
) -> bytes:
    try:
        async with (
            asyncio.timeout(seconds),  # those of httpx are per read, not for the whole
            httpx.AsyncClient(timeout=seconds) as client,
            client.stream(method, url, headers=dict(headers), data=form) as response,
        ):
            return await _read(response)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConnectionError(type(error).__name__) from None


async def _read(response: httpx.Response) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise ConnectionError(f"status {response.status_code}")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise ConnectionError(f"more than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(body)
