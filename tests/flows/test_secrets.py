"""Nothing that a run logs, shows or stores contains a secret, and the search finds them."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow, get_client, get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.blocks.core import Block
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State
from prefect.logging.handlers import APILogHandler
from prefect.states import Failed
from pydantic import SecretStr

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.easee.token_store import TokenStore
from easee_load_balancer.errors import ChargerError
from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.blocks import HuaweiInverter, Site
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.system.settings import Settings
from tests.support.history import cycle
from tests.support.home import Home, a_home
from tests.support.site import SITE

PASSWORD = "correct-horse-battery-staple"
SHOWN = ("flow_runs", "logs", "artifacts", "block_documents")
"""What the pages of the Prefect UI request; the test server records no task runs."""


async def _places(
    client: PrefectClient, server: PrefectStack, data: Path, **more: str
) -> Mapping[str, bytes]:
    """Everything visible, by place."""
    await APILogHandler.aflush()
    places = {name: text.encode() for name, text in more.items()}
    async with httpx.AsyncClient(base_url=client.api_url, timeout=30) as browser:
        for what in SHOWN:
            answer = await browser.post(f"{what}/filter", json={"limit": 200})
            assert answer.is_success, what
            places[what] = answer.content
    places["data folder"] = _files_of_owner(data)
    files = [file for file in (server.folder / "prefect").glob("prefect.db*") if file.is_file()]
    assert files
    places["Prefect's database"] = b"".join(file.read_bytes() for file in files)
    return places


def _files_of_owner(folder: Path) -> bytes:
    """All bytes in the folder, which only its owner may read."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"history.db"}
    for path in (folder, *files):
        assert path.stat().st_mode & 0o077 == 0, path
    return b"".join(file.read_bytes() for file in files)


def _seen(secret: str, places: Mapping[str, bytes]) -> set[str]:
    return {place for place, content in places.items() if secret.encode() in content}


def _account(home: Home) -> Account:
    return Account(
        user_name=home.cloud.user_name, password=SecretStr(PASSWORD), base_url=home.house.api_url
    )


async def _texts(home: Home, folder: Path) -> tuple[list[str], str]:
    """The tokens in use, and the texts of all objects that hold secrets."""
    site = await Site.load(SITE)
    session = TokenStore(folder, _account(home)).load()
    assert session.tokens is not None
    cloud = EaseeClient(_account(home), folder)
    told = [str(session.model_dump_json())]
    for one in (site, site.charger, site.credentials, session, session.tokens, cloud):
        told += [repr(one), str(one)]
    home.house.faults.api_status = 500
    try:
        await cloud.chargers()
    except ChargerError as error:
        told += traceback.format_exception(error)
    home.house.faults.api_status = None
    await cloud.close()
    tokens = (session.tokens.access, session.tokens.refresh)
    return [token.get_secret_value() for token in tokens], "\n".join(told)


async def test_no_secret_is_visible_anywhere(
    prefect_server: PrefectStack,
    data_folder: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_home(cloud=CloudSpec(password=PASSWORD)) as home, get_client() as client:
        assert (await home.cycle()).is_completed()
        tokens, told = await _texts(home, data_folder)
        for status in (500, 401):
            home.house.faults.api_status = status
            assert (await home.cycle()).is_failed()
        await home.save(password="another-wrong-one")
        home.house.faults.api_status = None
        assert (await home.cycle()).is_failed()
        console = "".join(capfd.readouterr())
        places = await _places(
            client, prefect_server, data_folder, log=caplog.text, console=console, told=told
        )
    assert _seen(f'"name":"{SITE}"', places) == {"block_documents"}
    assert b"surplus" in places["logs"]
    for secret in [PASSWORD, *tokens, "another-wrong-one"]:
        assert _seen(secret, places) == set()


async def test_the_search_finds_a_leaked_secret_in_every_place(
    prefect_server: PrefectStack,
    data_folder: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Otherwise the test above could not fail for a place."""
    secret = "told-on-purpose"

    @flow(persist_result=False)
    async def tell() -> State[Any]:
        print(secret)
        get_run_logger().info(secret)
        await acreate_markdown_artifact(secret)
        return Failed(message=secret)

    class Careless(Block):
        told: str

    async with get_client() as client:
        open_history(Settings().database_url).record(cycle(reason=secret))
        await HuaweiInverter(host=secret).asave("careless", overwrite=True)
        await tell(return_state=True)
        told = repr(Careless(told=secret))
        console = "".join(capfd.readouterr())
        places = await _places(
            client, prefect_server, data_folder, log=caplog.text, console=console, told=told
        )
    assert _seen(secret, places) == set(places)
