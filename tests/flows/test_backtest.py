"""A backtest as a flow: from the history or a CSV to an artifact in the UI."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from backtest import backtest
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State

from easee_load_balancer.backtest.policy_change import PolicyChange
from easee_load_balancer.simulation.plant.day import generate_day
from tests.support.home import a_home
from tests.support.site import SITE

SKY = generate_day("overcast")
CSV = "time,pv_w,load_w\n" + "".join(
    f"{minute // 60:02d}:{minute % 60:02d},{SKY.pv_w[minute]:.0f},{SKY.load_w[minute]:.0f}\n"
    for minute in range(0, 1440, 5)
)


async def played(**parameters: Any) -> State[Any]:
    run: Any = backtest
    wanted = {"site": SITE, "change": PolicyChange()} | parameters
    state: State[Any] = await run(**wanted, return_state=True)
    return state


async def test_publishes_what_phase_switching_gains_on_an_overcast_day() -> None:
    async with a_home(mode="solar", phases="3"):
        state = await played(csv=CSV, change=PolicyChange.model_validate({"phases": "auto"}))
    assert state.is_completed()
    assert (state.message or "").startswith("With phases auto, ")
    assert "kWh more solar in the car (" in (state.message or "")
    artifact = await Artifact.aget(f"backtest-{SITE}")
    assert artifact is not None
    text = str(artifact.data)
    assert text.startswith(f"# {state.message}\n")
    assert text.count("](data:image/png;base64,") == 1
    assert "from the grid" in (state.message or "")  # half of three phases' lowest step
    assert "| from solar | 13." in text


async def test_wrong_parameters_are_explained() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"csv": "nowhere.csv"}, "nowhere.csv cannot be read"),
        ({"first_day": date(2026, 6, 2), "last_day": date(2026, 6, 1)}, "before the first"),
        ({"time_zone": "Europe/Smalland"}, "not an IANA time zone"),
    ]
    async with a_home(mode="solar"):
        for parameters, message in wrong:
            state = await played(**parameters)
            assert state.is_failed()
            assert message in (state.message or "")
        state = await played()
        assert state.is_completed()
        assert (state.message or "").startswith("No measurements for ")


@pytest.mark.parametrize("change", [{"max_current_a": 40}, {"phasis": "3"}, {"mode": "sun"}])
def test_the_form_refuses_what_is_no_policy(change: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="change"):
        backtest.validate_parameters({"change": change})
