"""The README and the page of settings are current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prefect.blocks.core import Block
from typer.main import get_command

from easee_load_balancer.cli import app
from easee_load_balancer.commands.settings_page import PAGE, settings_page
from easee_load_balancer.orchestration.blocks import BLOCKS
from tests.support.paths import PROJECT

PAGES = sorted(
    str(page.relative_to(PROJECT))
    for pages in ("*.md", "docs/*.md", "deployments/**/*.md")
    for page in PROJECT.glob(pages)
)
README = (PROJECT / "README.md").read_text()


def test_the_page_of_settings_is_that_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    page = settings_page()
    assert page == PAGE.read_text()
    assert "| Peak power (kW) |  | above 0 to 1000 | Of all panels together. |" in page


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_work(page: str) -> None:
    file = PROJECT / page
    for target in re.findall(r"\]\((?!http)([^)#]+)", file.read_text()):
        assert (file.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_the_files_and_commands_that_a_page_names_exist(page: str) -> None:
    text = (PROJECT / page).read_text()
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(re.findall(r"easee-balancer ([a-z]+)", text)) <= set(commands)
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)`", text)) <= targets
    for name in re.findall(r"`((?:easee_load_balancer|flows|tasks|tests|docs)/[^` ]*)`", text):
        assert Path(PROJECT / name).exists(), name


@pytest.mark.parametrize("block", BLOCKS)
def test_the_readme_names_every_block(block: type[Block]) -> None:
    assert block.get_block_type_name() in README
