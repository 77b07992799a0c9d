"""The Prefect server for commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from easee_load_balancer.commands.prefect_server import prefect_server
from easee_load_balancer.system.processes import StartError, free_port


def test_a_configured_server_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    named = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with (
        temporary_settings(named),
        pytest.raises(StartError, match="does not answer"),
        prefect_server(tmp_path, free_port(), Console()),
    ):
        pass
