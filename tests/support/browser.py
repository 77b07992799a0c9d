"""A headless Chromium, driven over the WebDriver protocol."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from easee_load_balancer.system.processes import HOST, free_port
from tests.support.waiting import LONGEST_S


def missing() -> str | None:
    """Which program is not installed, if one is missing."""
    for name in ("chromium", "chromedriver"):
        if shutil.which(name) is None:
            return f"{name} is not installed (apt-get install chromium chromium-driver)"
    return None


class ScriptError(RuntimeError):
    """A script that ran on the page failed."""


class Browser:
    """One window."""

    def __init__(self, api: httpx.Client, session: str) -> None:
        self._api, self._session = api, session

    def open(self, url: str) -> None:
        """Go to a page."""
        self._post("url", {"url": url})

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self._post("execute/sync", {"script": script, "args": []})

    def wait_for(self, script: str, timeout_s: float = LONGEST_S) -> Any:
        """What a script returns as soon as that is something. Raises TimeoutError.

        A script may fail while the page is still being drawn, or drawn again.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with suppress(ScriptError):
                if result := self.run(script):
                    return result
            time.sleep(0.1)
        raise TimeoutError(f"nothing came of {script!r}; the page says: {self.text()[:500]}")

    def text(self) -> str:
        """All text on the page."""
        return str(self.run("return document.body.innerText"))

    def size(self, width: int, height: int) -> None:
        """Resize the page."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)

    def picture(self, path: Path) -> None:
        """Save a screenshot."""
        answer = self._api.get(f"/session/{self._session}/screenshot").raise_for_status()
        path.write_bytes(base64.b64decode(answer.json()["value"]))

    def _devtools(self, command: str, parameters: dict[str, Any]) -> None:
        self._post("goog/cdp/execute", {"cmd": command, "params": parameters})

    def _post(self, command: str, body: dict[str, Any]) -> Any:
        answer = self._api.post(f"/session/{self._session}/{command}", json=body)
        value = answer.json()["value"]
        if answer.is_error:
            kind = ScriptError if value["error"] == "javascript error" else RuntimeError
            raise kind(f"{command}: {value['message']}")
        return value


@contextmanager
def browser(folder: Path, *options: str) -> Iterator[Browser]:
    """A browser that keeps its files in `folder`; it ends with the block."""
    port = free_port()
    log = folder / "chromedriver.log"
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}", f"--log-path={log}"], stdout=subprocess.DEVNULL
    )
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    arguments += [*options, f"--user-data-dir={folder / 'profile'}", "--window-size=1280,1000"]
    wanted = {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}
    try:
        with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=120) as api:
            _wait_until_ready(api)
            answer = api.post("/session", json={"capabilities": wanted}).raise_for_status()
            session = answer.json()["value"]["sessionId"]
            try:
                yield Browser(api, session)
            finally:
                api.delete(f"/session/{session}")
    finally:
        driver.terminate()
        driver.wait()


def _wait_until_ready(api: httpx.Client) -> None:
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        try:
            if api.get("/status").json()["value"]["ready"]:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("chromedriver does not start")
