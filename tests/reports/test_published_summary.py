"""The daily summary on a real server: what it publishes, stores and writes, and how that looks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytest_asyncio
from daily_summary import daily_summary
from prefect import get_client
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import Artifact as StoredArtifact
from prefect.client.schemas.objects import State

from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.blocks import Tariff
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.simulation.plant.plant import BatterySpec
from tests.support.browser import browser, missing
from tests.support.history import insert
from tests.support.simulated_day import DAY, STOCKHOLM, Troubles, watch_day

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3600
PICTURES = os.environ.get("SCREENSHOTS")
"""A folder for screenshots."""


TROUBLES = Troubles(
    no_cycles=((11 * HOUR + 600, 11 * HOUR + 2400),),
    trips=((8 * HOUR, 9 * HOUR),),
    lost_share=0.001,
)
"""Half an hour without cycles, and an hour without the car."""


@pytest.fixture(scope="module")
def data(stack: PrefectStack) -> Iterator[Path]:
    """The data folder of a home with a day of history: passing clouds, and a battery."""
    watched = watch_day(DAY, "variable", battery=BatterySpec(), troubles=TROUBLES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASEE_BALANCER_DATA_FOLDER", str(stack.data_folder))
        insert(f"sqlite:///{stack.data_folder / 'history.db'}", watched.cycles)
        yield stack.data_folder
        open_history.cache_clear()


async def summary(**parameters: Any) -> State[Energy]:
    run: Any = daily_summary
    state: State[Energy] = await run(return_state=True, **parameters)
    return state


async def artifact(key: str) -> StoredArtifact:
    """The newest artifact with that key."""
    found = await Artifact.aget(key)
    assert found is not None
    return found


@dataclass(frozen=True)
class Published:
    """The run that summed up the day, its totals and its page."""

    state: State[Energy]
    energy: Energy
    page: StoredArtifact


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(data: Path) -> Published:
    """The summary of the day with a tariff and a CSV file."""
    await Tariff(currency="SEK", import_price=2.1, export_price=0.6).asave("home", overwrite=True)
    state = await summary(day=DAY, csv=True)
    assert state.is_completed()
    return Published(state, await state.aresult(), await artifact("energy-home"))


async def test_the_headline_is_the_state_and_the_name_of_the_run(published: Published) -> None:
    state = published.state
    assert state.message is not None
    assert re.fullmatch(
        r"\d+\.\d of the car's \d+\.\d kWh were solar \(\d+ %\), saved \d+\.\d\d SEK; "
        r"1 of 2,\d{3} cycles failed, \d+ cycles missed, 30 min without measurements",
        state.message,
    )
    assert state.state_details.flow_run_id is not None
    async with get_client() as client:
        run = await client.read_flow_run(state.state_details.flow_run_id)
    assert run.name == state.message


async def test_the_page_has_headline_chart_and_tables(published: Published) -> None:
    text = str(published.page.data)
    assert text.startswith("# ")
    assert text.count("](data:image/png;base64,") == 1
    for title in ("Energy balance", "The car", "Operation", "own counters", "Gaps"):
        assert title in text
    assert "Sunday 21 June 2026" in (published.page.description or "")
    assert len(text) < 400_000


async def test_the_same_day_again_gives_the_same_totals(data: Path, published: Published) -> None:
    again = await summary(day=DAY, last_day=DAY)
    assert await again.aresult() == published.energy
    stored = open_history(f"sqlite:///{data / 'history.db'}").day("home", DAY, STOCKHOLM.key)
    assert stored is not None
    assert stored.energy == published.energy
    assert stored.currency == "SEK"


async def test_a_month_is_the_sum_of_its_days(data: Path, published: Published) -> None:
    state = await summary(day=DAY.replace(day=3), period="month", csv=True)
    month = await state.aresult()
    assert month.car_from_solar_kwh == pytest.approx(published.energy.car_from_solar_kwh)
    assert "June 2026" in ((await artifact("energy-home-month")).description or "")
    days = pd.read_csv(data / "summaries" / "home-2026-06-01-to-2026-06-30.csv")
    assert str(DAY) in days["day"].tolist()
    state = await summary(day=DAY - timedelta(days=1), last_day=DAY + timedelta(days=1))
    assert (await state.aresult()).pv_kwh == pytest.approx(month.pv_kwh)
    await artifact("energy-home-range")


async def test_the_csv_adds_up_to_the_totals(data: Path, published: Published) -> None:
    total, table = published.energy, pd.read_csv(data / "summaries" / f"home-{DAY}.csv")
    assert table["car_from_solar_kwh"].sum() == pytest.approx(total.car_from_solar_kwh, abs=0.01)
    assert table["seconds"].sum() == pytest.approx(total.measured_s)
    assert table["at"].iloc[1].endswith("+02:00")


async def test_a_day_without_cycles_completes_and_says_so(data: Path) -> None:
    state = await summary(day=date(2020, 1, 1))
    assert state.is_completed()
    assert state.message == "No measurements for Wednesday 1 January 2020"


async def test_a_home_without_tariff_has_no_money(published: Published) -> None:
    async with get_client() as client:
        block = await client.read_block_document_by_name("home", "tariff")
        await client.delete_block_document(block.id)
    state = await summary(day=DAY)
    assert "saved" not in (state.message or "")
    assert (await state.aresult()).saved is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"time_zone": "Europe/Smalland"}, "not an IANA time zone"),
        ({"day": DAY, "last_day": DAY - timedelta(days=1)}, "before the first"),
    ],
)
async def test_wrong_parameters_are_explained(
    data: Path, parameters: dict[str, object], message: str
) -> None:
    state = await summary(**parameters)
    assert state.is_failed()
    assert message in (state.message or "")


async def test_a_history_that_cannot_be_opened_is_explained(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEE_BALANCER_HISTORY_URL", "sqlite:////nowhere/history.db")
    state = await summary(day=DAY)
    assert state.is_failed()
    assert "sqlite:////nowhere/history.db could not be opened" in (state.message or "")


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
async def test_the_page_in_a_browser(
    stack: PrefectStack, published: Published, tmp_path: Path
) -> None:
    with browser(tmp_path) as window:
        window.open(f"{stack.ui_url}/artifacts/key/energy-home")
        window.wait_for("return document.body.innerText.includes('Sunday 21 June 2026')")
        window.open(f"{stack.ui_url}/artifacts/artifact/{published.page.id}")
        width = window.wait_for(
            "const i = document.querySelector('img[src^=\"data:image/png\"]');"
            "return i && i.complete && i.naturalWidth && i.getBoundingClientRect().width"
        )
        assert width > 500
        text = window.text()
        assert published.state.message is not None
        assert published.state.message in text
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
