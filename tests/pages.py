"""What a page of the Prefect UI sends with each question."""

from __future__ import annotations

import httpx


def token_of_a_page(api_url: str, auth: httpx.Auth | None = None) -> dict[str, str]:
    """The headers with a token that the server tells to pages of its own site alone."""
    url = f"{api_url.rstrip('/')}/csrf-token"
    answer = httpx.get(url, params={"client": "a page"}, auth=auth, timeout=30).raise_for_status()
    return {"Prefect-Csrf-Client": "a page", "Prefect-Csrf-Token": answer.json()["token"]}
