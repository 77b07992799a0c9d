"""The flow on a real server: what it publishes, stores and writes, and how that looks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from daily_summary import daily_summary
from prefect import get_client
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.energy.accounting import Energy
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.orchestration.blocks import Tariff
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from tests.support.browser import browser, missing
from tests.support.simulated_day import DAY, STOCKHOLM, Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURES = os.environ.get("SCREENSHOTS")
"""A folder in which to leave the screenshots."""


@pytest.fixture(scope="module")
def data(stack: PrefectStack, summer_day: Watched) -> Iterator[Path]:
    """The data folder of a home with a day of history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASEE_BALANCER_DATA_FOLDER", str(stack.data_folder))
        history = History(f"sqlite:///{stack.data_folder / 'history.db'}")
        history.record_all(summer_day.cycles)
        history.close()
        yield stack.data_folder
        open_history.cache_clear()


@pytest.fixture
async def tariff(stack: PrefectStack) -> None:
    await Tariff(currency="SEK", import_price=2.1, export_price=0.6).asave("home", overwrite=True)


async def summary(**parameters: Any) -> State[Energy]:
    run: Any = daily_summary
    state: State[Energy] = await run(return_state=True, **parameters)
    return state


async def test_a_day_is_told_in_one_sentence(data: Path, tariff: None) -> None:
    state = await summary(day=DAY)
    assert state.is_completed()
    assert state.message is not None
    assert re.fullmatch(
        r"\d+\.\d of the car's \d+\.\d kWh were sun \(\d+ %\), saved \d+\.\d\d SEK; "
        r"1 of 2,\d{3} cycles failed, \d+ cycles missed, 30 min not measured",
        state.message,
    )
    assert state.state_details.flow_run_id is not None
    async with get_client() as client:
        run = await client.read_flow_run(state.state_details.flow_run_id)
    assert run.name == state.message


async def test_the_page_has_headline_picture_and_tables(data: Path, tariff: None) -> None:
    await summary(day=DAY)
    page = await Artifact.aget("energy-home")
    assert page is not None
    assert isinstance(page.data, str)
    assert page.data.startswith("# ")
    assert page.data.count("](data:image/png;base64,") == 1
    for title in ("Where it came from", "The car", "How it went", "own counters", "Gaps"):
        assert title in page.data
    assert "Sunday 21 June 2026" in (page.description or "")
    assert len(page.data) < 400_000


async def test_the_same_day_again_gives_the_same(data: Path, tariff: None) -> None:
    once = await (await summary(day=DAY)).aresult()
    again = await (await summary(day=DAY, last_day=DAY)).aresult()
    assert once == again
    stored = open_history(f"sqlite:///{data / 'history.db'}").day("home", DAY, STOCKHOLM.key)
    assert stored is not None
    assert stored.energy == once
    assert stored.currency == "SEK"


async def test_a_month_is_the_sum_of_its_days(data: Path, tariff: None) -> None:
    day = await (await summary(day=DAY)).aresult()
    month = await summary(day=DAY.replace(day=3), period="month")
    total = await month.aresult()
    assert total.car_from_sun_kwh == pytest.approx(day.car_from_sun_kwh)
    page = await Artifact.aget("energy-home-month")
    assert page is not None
    assert "June 2026" in (page.description or "")
    around = await (
        await summary(day=DAY - timedelta(days=1), last_day=DAY + timedelta(days=1))
    ).aresult()
    assert around.pv_kwh == pytest.approx(total.pv_kwh)
    assert await Artifact.aget("energy-home-range") is not None


async def test_the_file_adds_up_to_the_accounts(data: Path, tariff: None) -> None:
    total = await (await summary(day=DAY, csv=True)).aresult()
    table = pd.read_csv(data / "summaries" / f"home-{DAY}.csv")
    assert table["car_from_sun_kwh"].sum() == pytest.approx(total.car_from_sun_kwh, abs=0.01)
    assert table["seconds"].sum() == pytest.approx(total.measured_s)
    assert table["at"].iloc[1].endswith("+02:00")
    await summary(day=DAY, period="year", csv=True)
    days = pd.read_csv(data / "summaries" / "home-2026-01-01-to-2026-12-31.csv")
    assert str(DAY) in days["day"].tolist()


async def test_a_day_without_cycles_says_so(data: Path, tariff: None) -> None:
    state = await summary(day=date(2020, 1, 1))
    assert state.is_completed()
    assert state.message == "Nothing was measured on Wednesday 1 January 2020"


async def test_a_home_without_tariff_has_no_money(data: Path, tariff: None) -> None:
    async with get_client() as client:
        block = await client.read_block_document_by_name("home", "tariff")
        await client.delete_block_document(block.id)
    state = await summary(day=DAY)
    assert "saved" not in (state.message or "")
    assert (await state.aresult()).saved is None


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"time_zone": "Europe/Smalland"}, "not an IANA time zone"),
        ({"day": DAY, "last_day": DAY - timedelta(days=1)}, "before the first"),
    ],
)
async def test_what_cannot_be_summed_up_is_said_plainly(
    data: Path, parameters: dict[str, object], told: str
) -> None:
    state = await summary(**parameters)
    assert state.is_failed()
    assert told in (state.message or "")


async def test_a_history_out_of_reach_is_said_plainly(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEE_BALANCER_HISTORY_URL", "sqlite:////nowhere/history.db")
    state = await summary(day=DAY)
    assert state.is_failed()
    assert "sqlite:////nowhere/history.db could not be opened" in (state.message or "")


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
async def test_the_page_in_a_browser(
    stack: PrefectStack, data: Path, tariff: None, tmp_path: Path
) -> None:
    with temporary_settings({PREFECT_API_URL: stack.api_url}):
        state = await summary(day=DAY)
        page = await Artifact.aget("energy-home")
    assert page is not None
    with browser(tmp_path) as window:
        window.open(f"{stack.ui_url}/artifacts/key/energy-home")
        window.wait_for("return document.body.innerText.includes('Sunday 21 June 2026')")
        window.open(f"{stack.ui_url}/artifacts/artifact/{page.id}")
        width = window.wait_for(
            "const i = document.querySelector('img[src^=\"data:image/png\"]');"
            "return i && i.complete && i.naturalWidth && i.getBoundingClientRect().width"
        )
        assert width > 500
        text = window.text()
        assert state.message is not None
        assert state.message in text
        assert "Sold to the grid" in text
        assert window.run("return document.querySelectorAll('table').length") >= 4
        if PICTURES:
            window.size(1280, 2600)
            window.picture(Path(PICTURES) / "desk.png")
        window.size(390, 2600)
        window.wait_for(
            "return document.querySelector('img[src^=\"data:image/png\"]')"
            ".getBoundingClientRect().width <= 390"
        )
        if PICTURES:
            window.picture(Path(PICTURES) / "phone.png")
