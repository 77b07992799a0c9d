"""The push stream: the real client at a simulated hub, in good and bad times."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from easee_load_balancer.devices.easee import client, pushed_values, stream
from easee_load_balancer.devices.easee.stream import StreamingClient, hub_url
from easee_load_balancer.measurements import ChargerMode, ChargerState, Setpoint
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.server import SimulatedHouse
from tests.support.easee_cloud import (
    CHARGER,
    ScriptedCloud,
    account,
    expire_tokens,
    http,
    http_json,
    total_calls,
)
from tests.support.waiting import until

TTL = timedelta(minutes=30)
OTHERS = "Another controller has set"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a tenth of a second; calls as often as wanted."""
    monkeypatch.setattr(stream, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(stream, "MORE_WAIT_S", 0.0)
    monkeypatch.setattr(client, "too_soon", lambda *_, **__: False)


@pytest.fixture
async def streaming(
    house: SimulatedHouse, tmp_path: Path, quick: None
) -> AsyncIterator[StreamingClient]:
    """A client of the house's cloud whose stream is trusted."""
    one = StreamingClient(account(house.api_url), tmp_path)
    await trusted(one)
    yield one
    await one.close()


async def trusted(one: StreamingClient) -> None:
    """Read the charger until the stream is trusted."""

    async def usable() -> bool:
        await one.recent_state(CHARGER)
        return one.stream.usable(await one.stream.values_of(CHARGER.charger_id))

    await until(usable, every_s=0.02)


async def pushed(one: StreamingClient, shows: Callable[[ChargerState], bool]) -> ChargerState:
    """The state when the condition holds, without a call."""
    calls = one.calls.total()

    async def holds() -> ChargerState | None:
        state = await one.recent_state(CHARGER)
        return state if shows(state) else None

    state = await until(holds, every_s=0.02)
    assert one.calls.total() == calls
    assert isinstance(state, ChargerState)
    return state


async def test_pushed_state_is_the_polled_one_without_calls(
    house: SimulatedHouse, streaming: StreamingClient
) -> None:
    house.advance(180)
    state = await pushed(streaming, lambda state: (state.car_w or 0) > 10_000)
    polled = await streaming.state(CHARGER)
    assert replace(polled, taken_at=state.taken_at) == state
    assert state.voltage_v[0] == pytest.approx(house.plant.voltage_v[0], abs=2)


async def test_command_and_plug_are_seen_without_calls(
    house: SimulatedHouse, streaming: StreamingClient, caplog: pytest.LogCaptureFixture
) -> None:
    await streaming.set_circuit_current(CHARGER, Setpoint(8), TTL)
    house.advance(5)
    await pushed(streaming, lambda state: state.circuit_current_a == (8, 8, 8))
    house.plant.car.unplug()
    house.advance(5)
    await pushed(streaming, lambda state: state.mode is ChargerMode.DISCONNECTED)
    assert OTHERS not in caplog.text


async def test_foreign_command_is_named_once(
    house: SimulatedHouse, streaming: StreamingClient, caplog: pytest.LogCaptureFixture
) -> None:
    for ticks in range(3):
        await house.cloud.hub.answer_command(CHARGER.charger_id, 48, ticks)

    async def named() -> bool:
        await streaming.recent_state(CHARGER)
        return OTHERS in caplog.text

    await until(named, every_s=0.02)
    assert [record.getMessage() for record in caplog.records if OTHERS in record.message] == [
        "Another controller has set the charger's current of charger EH123456."
    ]


async def test_commands_of_another_worker_of_the_pool_are_not_foreign(
    house: SimulatedHouse, streaming: StreamingClient, caplog: pytest.LogCaptureFixture
) -> None:
    await house.cloud.hub.answer_command(CHARGER.charger_id, 22, 1)
    await until(lambda: streaming.stream.heard_of_others, every_s=0.02)
    streaming.leave(CHARGER.charger_id)  # the other worker has this cycle
    heard_s = streaming.stream._heard_s
    await house.cloud.hub.answer_command(CHARGER.charger_id, 22, 2)
    await until(lambda: streaming.stream._heard_s > heard_s, every_s=0.02)
    await trusted(streaming)
    await streaming.recent_state(CHARGER)
    assert OTHERS not in caplog.text


async def test_refused_command_is_named(
    house: SimulatedHouse, streaming: StreamingClient, caplog: pytest.LogCaptureFixture
) -> None:
    house.faults.commands_ignored = True
    await streaming.set_circuit_current(CHARGER, Setpoint(8), TTL)
    await house.cloud.hub.answer_command(CHARGER.charger_id, 22, 1, accepted=False)
    await until(lambda: "has refused to set the circuit's current" in caplog.text, every_s=0.02)


async def test_disorder_and_repetition_change_nothing(
    house: SimulatedHouse, streaming: StreamingClient
) -> None:
    house.faults.stream = "disorder"
    for _ in range(30):
        house.advance(10)
        await asyncio.sleep(0.01)
    house.faults.stream = None
    house.plant.car.unplug()
    house.advance(10)
    state = await pushed(streaming, lambda state: state.mode is ChargerMode.DISCONNECTED)
    polled = await streaming.state(CHARGER)
    assert (state.mode, state.output_phases) == (polled.mode, polled.output_phases)


async def test_silence_means_polling(
    house: SimulatedHouse, streaming: StreamingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.faults.stream = "silent"
    monkeypatch.setattr(stream, "ALIVE_S", 0.2)
    await until(lambda: not streaming.stream.alive, every_s=0.02)
    house.plant.car.unplug()
    house.advance(5)
    assert (await streaming.recent_state(CHARGER)).mode is ChargerMode.DISCONNECTED


async def test_hub_that_delivers_no_values_is_found_out_and_left(
    house: SimulatedHouse,
    streaming: StreamingClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    house.faults.stream = "mute"
    monkeypatch.setattr(pushed_values, "_DELIVERED", timedelta())
    monkeypatch.setattr(pushed_values, "_SAME_TIME", timedelta())
    second = int(time.time())
    await until(lambda: int(time.time()) > second, every_s=0.02)  # times have whole seconds
    house.plant.car.unplug()
    house.advance(5)
    assert (await streaming.recent_state(CHARGER)).mode is not ChargerMode.DISCONNECTED
    near_fuse = await streaming.recent_state(CHARGER, near_fuse=True)
    assert near_fuse.mode is ChargerMode.DISCONNECTED
    await until(lambda: house.cloud.hub.connections > 1, every_s=0.02)
    assert (await streaming.recent_state(CHARGER)).mode is ChargerMode.DISCONNECTED


@pytest.mark.parametrize("fault", ["lost", "closed", "garbage", 401, 403, 404, 429, 503])
async def test_polling_goes_on_whatever_the_hub_does_until_the_stream_is_back(
    fault: str | int, house: SimulatedHouse, streaming: StreamingClient, tmp_path: Path
) -> None:
    hub = house.cloud.hub
    if isinstance(fault, int):
        house.faults.stream_status, house.faults.api_retry_after_s = fault, 1  # type: ignore[assignment]
        await hub.disconnect()
    elif fault == "garbage":
        house.faults.stream = "garbage"
    else:
        await hub.disconnect(said=fault == "closed")
    house.advance(60)
    await until(lambda: not hub.open or hub.connections > 1, every_s=0.02)
    house.plant.car.unplug()
    house.advance(5)

    async def seen() -> bool:
        return (await streaming.recent_state(CHARGER)).mode is ChargerMode.DISCONNECTED

    await until(seen, every_s=0.02)  # the client may hear of the lost connection a moment later
    assert not {"cloud", "observations"} & streaming._login.session.refusals.keys()
    house.faults.replace_with(Faults())
    for refusal in list(streaming._login.session.refusals):  # hours would pass
        async with streaming._login.change() as session:
            session.accept(refusal)
    await trusted(streaming)


async def test_hub_that_is_away_is_asked_ever_more_rarely_and_warned_of_once(
    house: SimulatedHouse,
    streaming: StreamingClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits: list[float] = []
    clock_s = time.monotonic()
    sleep = asyncio.sleep

    async def skip(seconds: float) -> None:
        nonlocal clock_s
        waits.append(seconds)
        clock_s += seconds
        await sleep(0)

    monkeypatch.setattr(stream, "monotonic", lambda: clock_s)
    monkeypatch.setattr(stream, "MORE_WAIT_S", 30.0)
    monkeypatch.setattr(stream, "random", type("Even", (), {"uniform": lambda *_: 1.0}))
    monkeypatch.setattr(stream, "asyncio", _Slept(skip))
    house.faults.stream_status = 503
    await house.cloud.hub.disconnect()
    await until(lambda: len(waits) > 60, every_s=0.01)
    assert waits[:4] == pytest.approx([0.1, 30.1, 60.1, 90.1])
    assert set(waits[11:]) == {300.0}
    warned = [one.getMessage() for one in caplog.records if one.name == stream.__name__]
    assert len(warned) == 1
    assert warned[0].startswith("No push stream from the Easee cloud for a while (")
    assert warned[0].endswith("Values are polled instead.")


class _Slept:
    """asyncio with another sleep."""

    def __init__(self, sleep: object) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)


async def test_expired_token_is_renewed_for_the_next_connection(
    house: SimulatedHouse, streaming: StreamingClient, tmp_path: Path
) -> None:
    logins = house.cloud.tokens.logins
    expire_tokens(house.api_url, tmp_path)
    streaming._login.session.tokens = None
    await house.cloud.hub.disconnect()
    await until(lambda: house.cloud.hub.connections > 1, every_s=0.02)
    assert house.cloud.tokens.refreshes == 1
    assert house.cloud.tokens.logins == logins


async def test_token_reaches_no_log(
    house: SimulatedHouse, tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one = StreamingClient(account(house.api_url), tmp_path)
    await trusted(one)
    await house.cloud.hub.disconnect()
    await until(lambda: house.cloud.hub.connections > 1, every_s=0.02)
    assert one._login.session.tokens is not None
    secret = one._login.session.tokens.access.get_secret_value()
    assert secret not in caplog.text
    assert "pysignalr" not in caplog.text
    assert secret not in repr(vars(one)) + repr(vars(one.stream)) + repr(vars(one.stream)["_task"])
    await one.close()
    await until(lambda: not house.cloud.hub.open, every_s=0.02)


async def test_a_redirect_of_the_hub_is_not_followed_and_blocks_nothing(
    cloud: ScriptedCloud, tmp_path: Path, quick: None
) -> None:
    elsewhere = http(301, b"", "Location: http://127.0.0.1:9/negotiate")
    cloud.answers["/hubs/chargers/negotiate"] = elsewhere
    cloud.answer = http_json(200, {"observations": []})
    one = StreamingClient(account(cloud.url), tmp_path)
    await one.recent_state(CHARGER)
    await until(lambda: "stream" in one._login.session.refusals, every_s=0.02)
    assert set(one._login.session.refusals) == {"stream"}
    await one.recent_state(CHARGER)
    await one.close()


async def test_no_stream_without_a_lasting_process(
    house: SimulatedHouse, easee: client.EaseeClient
) -> None:
    await easee.recent_state(CHARGER)
    assert total_calls(house) == 2
    assert not house.cloud.hub.negotiations


def test_hub_of_the_real_cloud_has_a_host_of_its_own() -> None:
    assert hub_url("https://api.easee.com") == "https://streams.easee.com/hubs/chargers"
    assert hub_url("http://127.0.0.1:8080") == "http://127.0.0.1:8080/hubs/chargers"
