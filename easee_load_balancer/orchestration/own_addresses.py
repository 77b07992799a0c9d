"""Addresses that this project's server has beside Prefect's UI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import HttpUrl

if TYPE_CHECKING:
    from prefect.blocks.core import Block

HOME = "home"
"""The site whose addresses name no site."""
SITE_PATTERN = r"^[a-z0-9-]{1,60}$"
"""A valid block name that is also safe as a file name."""
SETTINGS = "/help/settings"
LOGO = "/help/logo.svg"


def ui_address() -> str:
    """Where browsers find the UI: PREFECT_UI_URL, else where the API is; empty if not known."""
    from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL  # only `up` may import it first

    api = (PREFECT_API_URL.value() or "").rstrip("/")
    return (PREFECT_UI_URL.value() or api.removesuffix("/api")).rstrip("/")


def anchor(title: str) -> str:
    """Where the page of settings has the section with that title."""
    return title.lower().replace(" ", "-")


class OwnAddress:
    """An address on this project's server as an attribute of a block's class.

    Prefect takes no picture for a logo, only an address: it is on this server, so that no block
    needs the internet.
    """

    def __init__(self, path: str, *, section: bool = False) -> None:
        """`section`: lead to the section of the block."""
        self._path, self._section = path, section

    def __get__(self, block: object, owner: type[Block]) -> HttpUrl | None:
        """The address; None where the server's is not known."""
        if not (ui := ui_address()):
            return None
        section = f"#{anchor(owner.get_block_type_name())}" if self._section else ""
        return HttpUrl(f"{ui}{self._path}{section}")


def addresses(ui: str, site: str = HOME) -> dict[str, str]:
    """The addresses of the pages that an owner looks for, by name."""
    own = "" if site == HOME else f"/{site}"
    pages = {"Now and today": "/now", "Yesterday": "/yesterday", "Decisions": "/decisions"}
    return {title: f"{ui}{page}{own}" for title, page in pages.items()} | {"Prefect UI": ui}
