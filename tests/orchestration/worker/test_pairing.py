"""A worker with another data folder than the server's runs nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.variables import Variable

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.orchestration.pairing import VARIABLE, folder_id, pair
from tests.support.postgres import Postgres
from tests.support.waiting import until
from tests.support.worker import deployed, ended, working


async def test_a_folder_and_a_server_belong_together_from_their_first_meeting(
    client: PrefectClient, tmp_path: Path
) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    await pair(home, "paired")
    await pair(home, "paired")
    with pytest.raises(ConfigurationError, match=f"another data folder than {other}"):
        await pair(other, "paired")
    await pair(other, "another pool")


def test_a_folder_without_an_id_gets_one_as_soon_as_it_can_be_stored(tmp_path: Path) -> None:
    file = tmp_path / "folder-id"
    file.touch()  # what an earlier version left on a full disk
    own_id = folder_id(tmp_path)
    assert own_id
    assert folder_id(tmp_path) == file.read_text() == own_id
    file.unlink()
    file.mkdir()  # stands for a disk that cannot be written
    assert folder_id(tmp_path) == ""


async def test_a_worker_waits_until_its_folder_is_the_servers(
    client: PrefectClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await pair(tmp_path, "taken")
    run = await client.create_flow_run_from_deployment(await deployed(client, "taken", "good"))
    async with working("taken"):
        await until(lambda: "This worker runs nothing." in caplog.text)
        assert (await client.read_flow_run(run.id)).start_time is None
        await Variable.aset(VARIABLE, {}, overwrite=True)
        assert (await ended(client, run)).is_completed()
    assert caplog.text.count("This worker runs nothing.") == 1


async def test_workers_of_several_machines_share_a_pool_by_their_database(
    client: PrefectClient, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()
    await pair(folders[0], "shared")  # so far, this machine has served it alone
    monkeypatch.setenv("EASEE_BALANCER_SHARED_POOL", "true")
    monkeypatch.setenv("EASEE_BALANCER_HISTORY_URL", postgres.empty_database())
    await pair(folders[0], "shared")
    await Variable.aunset(VARIABLE)
    await asyncio.gather(*(pair(folder, "shared") for folder in folders))  # all start at once
    postgres.empty_database()
    with pytest.raises(ConfigurationError, match="another history"):
        await pair(folders[0], "shared")
    monkeypatch.delenv("EASEE_BALANCER_SHARED_POOL")
    with pytest.raises(ConfigurationError, match="another data folder"):
        await pair(folders[0], "shared")
