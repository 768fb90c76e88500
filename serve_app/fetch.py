"""Fetching one small public document, such as an issuer's keys."""

import asyncio
from typing import Final

import httpx

FETCH_SECONDS: Final = 5.0
"""Long enough for a distant issuer; a request may be waiting."""

MAX_DOCUMENT_BYTES: Final = 256 * 1024
"""Some hundred keys; the largest public key sets have about a dozen."""


async def fetch(url: str) -> bytes:
    """Fetch a document by GET; redirects are not followed.

    Raises:
        OSError: there was no complete answer with status 200 in time, or it was too large. The message does not
            repeat the URL, which may hold a secret.
    """
    headers = {"accept": "application/json", "accept-encoding": "identity"}  # the size limit counts what arrives
    try:
        async with (
            asyncio.timeout(FETCH_SECONDS),  # those of httpx are per read, not for the whole
            httpx.AsyncClient(timeout=FETCH_SECONDS) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            return await _read(response)
    except TimeoutError:
        raise TimeoutError(f"no answer within {FETCH_SECONDS} s") from None
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
