"""Secrets appear in no log, state, name, artifact, history row or file that a run leaves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from pydantic import SecretStr

from easee_load_balancer.easee_models import Account
from easee_load_balancer.house.cloud_documents import CloudSpec
from easee_load_balancer.session import SessionFile
from tests.flows.home import SITE, Home, a_home

PASSWORD = "correct-horse-battery-staple"


async def _everything_the_server_shows(client: PrefectClient) -> str:
    shown = [run.model_dump_json() for run in await client.read_flow_runs(limit=200)]
    shown += [run.model_dump_json() for run in await client.read_task_runs(limit=200)]
    shown += [log.model_dump_json() for log in await client.read_logs(limit=200)]
    shown += [one.model_dump_json() for one in await client.read_artifacts(limit=200)]
    blocks = await client.read_block_documents(limit=200, include_secrets=False)
    shown += [one.model_dump_json() for one in blocks]
    return "\n".join(shown)


def _everything_in_files(folder: Path) -> bytes:
    """All bytes below the folder, which nobody else may read."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"history.db"}
    for path in (folder, *files):
        assert path.stat().st_mode & 0o077 == 0, path
    return b"".join(file.read_bytes() for file in files)


def _tokens_in_use(home: Home, folder: Path) -> list[str]:
    account = Account(
        user_name=home.cloud.user_name, password=SecretStr(PASSWORD), base_url=home.house.api_url
    )
    tokens = SessionFile(folder, account).load().tokens
    assert tokens is not None
    return [tokens.access.get_secret_value(), tokens.refresh.get_secret_value()]


async def test_secrets_stay_secret(data_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_home(cloud=CloudSpec(password=PASSWORD)) as home, get_client() as client:
        assert (await home.cycle()).is_completed()
        secrets = [PASSWORD, *_tokens_in_use(home, data_folder)]
        for status in (500, 401):
            home.house.faults.api_status = status
            assert (await home.cycle()).is_failed()
        await home.save(password="another-wrong-one")
        home.house.faults.api_status = None
        assert (await home.cycle()).is_failed()
        shown = await _everything_the_server_shows(client)
        assert f'"name":"{SITE}"' in shown
        left = _everything_in_files(data_folder)
        for secret in [*secrets, "another-wrong-one"]:
            assert secret not in shown
            assert secret not in caplog.text
            assert secret.encode() not in left
