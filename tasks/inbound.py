"""What other programs have sent by MQTT: remembered by the worker as long as it can be true."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from easee_load_balancer.control.dimming import Dimming
from easee_load_balancer.control.needs import CarReport
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.forecasts.quarters import NoSeries, by_quarter
from easee_load_balancer.history.store import History
from easee_load_balancer.integrations.inbound import INPUTS, Reported
from easee_load_balancer.orchestration.blocks import Tariff
from tasks.history import use_history

_KNOWN: dict[tuple[str, str], Reported] = {}
"""The last values by site and name."""
_SESSIONS: dict[str, float] = {}
"""What the car of a site had got since it was plugged in when its state of charge was sent."""
_BY_MQTT = "by MQTT"
_HOUR = timedelta(hours=1)


def car_report(site: str, now: datetime) -> CarReport | None:
    """What the car has told, as long as it holds."""
    soc, limit = _value(site, "car_soc", now), _value(site, "car_soc_limit", now)
    if not isinstance(soc, float):
        return None
    return CarReport(soc, _SESSIONS.get(site, 0.0), limit if isinstance(limit, float) else None)


def is_away(site: str, now: datetime) -> bool:
    """Whether nobody is expected at home with the car."""
    return _value(site, "presence", now) is False


async def take(site: str, value: Reported, session_kwh: float | None) -> None:
    """Use a value; prices, forecasts and limits go into the history. Raises BalancerError."""
    if value.name == "prices":
        tariff = await Tariff.of_site(site)
        if tariff is None or tariff.source != "MQTT":
            raise ConfigurationError(
                "prices by MQTT are used where the tariff's day-ahead prices are set to 'MQTT'."
            )
        spot = _by_quarter(value)
        await use_history(lambda history: history.spot_prices.record(site, tariff, spot))
    elif value.name == "solar_forecast":
        forecast = _by_quarter(value)
        await use_history(
            lambda history: history.quarters.record_forecast(site, forecast, value.at)
        )
    elif value.name == "grid_limit_w":
        await use_history(lambda history: _dim(history, site, value))
    else:
        _KNOWN[site, value.name] = value
        if value.name == "car_soc":
            _SESSIONS[site] = session_kwh or 0.0


def _value(site: str, name: str, now: datetime) -> object:
    known = _KNOWN.get((site, name))
    return None if known is None or not known.holds(now) else known.value


def _by_quarter(value: Reported) -> dict[datetime, float]:
    """Each value holds until the next one, an hour at most. Raises ConfigurationError."""
    series = sorted(value.value.items()) if isinstance(value.value, dict) else []
    begins = [start for start, _ in series] or [value.at]
    try:
        return by_quarter(series, begins[0], begins[-1] + _HOUR, -math.inf, math.inf)
    except NoSeries as error:
        raise ConfigurationError(f"the input {value.name} cannot be used: {error}.") from None


def _dim(history: History, site: str, value: Reported) -> None:
    """Begin a limit that lasts until it would be too old, or end the one by MQTT."""
    active = history.dimmings.under_way(site)
    if active is not None and active.run_id.startswith(_BY_MQTT):
        history.dimmings.end(active.run_id, active.request, value.at, "ended by MQTT")
    if isinstance(value.value, float):
        until = value.at + INPUTS[value.name].longest
        asked = Dimming(started_at=value.at, limit_w=value.value, until=until)
        run_id = f"{_BY_MQTT} {site} {value.at.isoformat()}"
        history.dimmings.begin(site, run_id, asked)
