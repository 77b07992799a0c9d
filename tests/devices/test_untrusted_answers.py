"""Whatever devices and cloud send, the result is one of our errors or values within bounds."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.devices.easee.models import (
    AccountCharger,
    EaseeSite,
    Observations,
    ProblemDetails,
    TokenAnswer,
)
from easee_load_balancer.devices.easee.observations import OBSERVATION_IDS, charger_state, controls
from easee_load_balancer.devices.huawei import registers as huawei_registers
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import ChargerError, ChargerUnknown, InverterError
from easee_load_balancer.measurements import ChargerState, InverterReading
from tests.support.easee_cloud import CHARGER, a_client, a_scripted_cloud, http

NOW = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
MODELS: tuple[Any, ...] = (
    tuple[AccountCharger, ...],
    ProblemDetails,
    EaseeSite,
    TokenAnswer,
)
ATTACK = "\x1b]0;owned\x07\u202e[red]![x](http://evil)<script>|`\n# " * 50

registers = st.lists(st.integers(0, 0xFFFF), min_size=60, max_size=60)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(ATTACK),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
times = st.datetimes().map(str) | st.sampled_from(
    ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-06-21T12:00:00Z", "", "0"]
)
observations = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(sorted(OBSERVATION_IDS.values())) | st.integers(),
            "timestamp": times | values,
            "value": st.floats() | st.integers() | st.text() | values,
        }
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(registers)
def test_any_registers_are_decoded_to_bounded_values(words: list[int]) -> None:
    power = huawei_registers.decode_power(words)
    meter = huawei_registers.decode_meter(words)
    batteries = (
        huawei_registers.decode_battery(words),
        huawei_registers.decode_battery_unit_1(words),
    )
    for decoded in (power, meter, *batteries):
        for value in _numbers(astuple(decoded)) if decoded else []:
            assert abs(value) < 2**32


def _numbers(values: Sequence[Any]) -> list[float]:
    flat = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    return [float(value) for value in flat if isinstance(value, int | float)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(observations)
def test_any_observations_are_decoded_or_refused(seen: list[Any]) -> None:
    try:
        answer = Observations.model_validate_json(json.dumps({"observations": seen}))
    except ValidationError:
        return
    _assert_harmless(charger_state(answer.observations, NOW))
    assert controls(answer.observations).scheduled in (True, False)


def _assert_harmless(state: ChargerState) -> None:
    """The control law accepts it and gives short, plain reasons."""
    for amps in (state.output_current_a, *state.circuit_max_current_a, *state.car_current_a):
        assert amps is None or abs(amps) <= 500
    assert state.car_w is None or abs(state.car_w) <= 30_000
    decision = decide(
        CycleInputs(NOW, InverterReading.unknown(NOW), state, Policy()), ControllerState()
    )
    assert len(decision.reason) <= 140
    assert decision.reason.isprintable()


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(MODELS), st.binary(max_size=60) | values.map(lambda v: json.dumps(v).encode())
)
def test_any_other_answer_is_decoded_or_refused(model: Any, body: bytes) -> None:
    with suppress(ValidationError):
        TypeAdapter(model).validate_json(body)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=2000))
@example(ATTACK)
def test_plain_text_is_short_and_on_one_line(text: str) -> None:
    cleaned = plain(text)
    assert len(cleaned) <= 200
    assert cleaned.isprintable()
    assert not set(cleaned) & set("[]<>|`#*!\\\x1b\u202e")
    assert plain(cleaned) == cleaned


def test_deeply_nested_schedule_is_no_schedule() -> None:
    nested = {"id": 62, "timestamp": "2026-06-21T12:00:00Z", "value": "[" * 100_000}
    answer = Observations.model_validate({"observations": [nested]})
    assert not controls(answer.observations).scheduled


async def test_names_are_cleaned_and_invalid_ids_are_never_sent(tmp_path: Path) -> None:
    charger = AccountCharger.model_validate({"id": "EH123456", "name": ATTACK})
    assert charger.name == plain(ATTACK)
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        for wrong in ("../../accounts", "EH123456/x", "..", "", "E" * 21, "EH12\n3456", "EH1234\n"):
            with pytest.raises(ChargerUnknown):
                await easee.site_of(wrong)
        assert cloud.requests == []


async def test_error_text_of_the_cloud_is_cleaned(tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        said = json.dumps({"title": ATTACK, "detail": ATTACK}).encode()
        cloud.answer = http(500, said)
        with pytest.raises(ChargerError) as failure:
            await easee.state(CHARGER)
    assert str(failure.value).isprintable()
    assert len(str(failure.value)) < 400
    assert not set(str(failure.value)) & set("[]<>|`#*!")


async def test_random_cloud_answers_give_a_state_or_a_short_error(tmp_path: Path) -> None:
    rng = random.Random(1)
    good = json.dumps(
        {"observations": [{"id": 120, "timestamp": "2026-06-21T12:00:00Z", "value": 6.9}]}
    ).encode()
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        for _ in range(60):
            body = bytearray(good)
            for _ in range(rng.randint(1, 6)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            cloud.answer = http(rng.choice([200, 200, 200, 404, 500]), bytes(body))
            refused = ""
            try:
                _assert_harmless(await easee.state(CHARGER))
            except ChargerError as error:
                refused = str(error)
            assert len(refused) < 400
            assert refused.isprintable()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def a_device(serve: Serve) -> AsyncIterator[Inverter]:
    """A client of a misbehaving device."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    inverter = Inverter(
        InverterAddress(host="127.0.0.1", port=port, settle_time_s=0, timeout_s=0.3)
    )
    async with server:
        try:
            yield inverter
        finally:
            await inverter.close()


def _at_random(rng: random.Random) -> Serve:
    """Answers with a valid frame around random bytes, or with random bytes only."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.read(300):
                count = 2 * int.from_bytes(request[10:12], "big")
                data = rng.randbytes(rng.choice([count, count, count, rng.randrange(254)]))
                pdu = bytes([rng.choice([3, 3, 3, 3, 0x83, rng.randrange(256)]), len(data) % 256])
                size = (len(pdu) + len(data) + 1).to_bytes(2, "big")
                head = request[:4] + size + request[6:7]
                noise = rng.randbytes(rng.randrange(400))
                writer.write(rng.choice([head + pdu + data] * 4 + [noise]))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return serve


async def test_random_device_answers_give_a_reading_or_a_short_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def read(seed: int) -> None:
        async with a_device(_at_random(random.Random(seed))) as inverter:
            refused, grid_w = "", None
            try:
                grid_w = (await inverter.read()).grid_export_w
            except InverterError as error:
                refused = str(error)
        assert len(refused) < 300
        assert refused.isprintable()
        assert grid_w is None or abs(grid_w) <= 1_000_000

    await asyncio.gather(*(read(seed) for seed in range(50)))
    assert caplog.text == ""


async def test_flooding_device_ends_with_the_time_budget(caplog: pytest.LogCaptureFixture) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(300)
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            writer.close()

    async with a_device(flood) as inverter:
        started_s = time.monotonic()
        with pytest.raises(InverterError):
            await inverter.read()
        assert time.monotonic() - started_s < inverter.address.budget_s + 20
    assert len(caplog.text) < 1000
