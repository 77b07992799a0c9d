"""The Prefect server for commands."""

from __future__ import annotations

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from easee_load_balancer.commands import prefect_server as prefect_server_module
from easee_load_balancer.commands.prefect_server import prefect_server
from easee_load_balancer.system.processes import StartError, free_port


def test_a_port_that_another_program_uses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect_server_module, "_ANSWER_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            temporary_settings(restore_defaults={PREFECT_API_URL}),
            pytest.raises(StartError, match=f"Port {port} is used by process {os.getpid()}"),
            prefect_server(tmp_path, port, Console()),
        ):
            pass


class WantsPassword(BaseHTTPRequestHandler):
    """Prefect's API with a password: only its health is known without it."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == "/api/health" else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_server_that_wants_a_password_is_an_error_that_says_where_to_set_it(
    tmp_path: Path,
) -> None:
    with HTTPServer(("127.0.0.1", 0), WantsPassword) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with (
                temporary_settings(restore_defaults={PREFECT_API_URL}),
                pytest.raises(StartError, match="set PREFECT_API_AUTH_STRING"),
                prefect_server(tmp_path, server.server_port, Console()),
            ):
                pass
        finally:
            server.shutdown()


def test_a_configured_server_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    named = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with (
        temporary_settings(named),
        pytest.raises(StartError, match="does not answer"),
        prefect_server(tmp_path, free_port(), Console()),
    ):
        pass
