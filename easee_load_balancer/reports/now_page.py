"""The page of now: what the car gets and why, the day so far, and whether everything is well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from easee_load_balancer.control.feedback import other_controller
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.control.starts import STARTING
from easee_load_balancer.energy.day_so_far import DaySoFar, Sample, flows
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.measurements import BatteryHold, ChargerMode
from easee_load_balancer.orchestration.own_addresses import HOME
from easee_load_balancer.reports.markdown import UNKNOWN, as_kwh, as_table, embedded_svg

_NIGHT_W = 50.0


@dataclass(frozen=True, slots=True)
class Now:
    """What the page shows."""

    snapshot: Snapshot
    zone: ZoneInfo
    day: DaySoFar
    picture: bytes
    """The day so far as SVG."""
    last_good_at: datetime | None
    """When a cycle last could read and send everything."""
    cloud_calls: int | None = None
    """Calls to the Easee cloud today."""


def sample_of(snapshot: Snapshot) -> Sample:
    """What the cycle has measured."""
    inverter = snapshot.inverter
    return Sample(
        snapshot.at,
        inverter.pv_w,
        inverter.grid_export_w,
        inverter.battery_charge_w,
        snapshot.charger.car_w,
    )


def now_page(now: Now) -> str:
    """The page as markdown."""
    snapshot = now.snapshot
    parts = [
        f"# {now_headline(snapshot)}",
        f"**{_clock(snapshot.at, now)}**, {snapshot.site}: {snapshot.reason}",
        _today(now),
        _next_step(snapshot),
        _plan(snapshot),
        _powers(now),
        embedded_svg(now.picture, "Today so far"),
        "## Is everything well?",
        _health_table(now),
        "Every cycle updates this page; its picture is updated every five minutes. Reload the page "
        "to see changes. Energies are summed up from the cycles; the daily summary compares them "
        "with the devices' own counters.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def now_headline(snapshot: Snapshot) -> str:
    """What the car gets, or why it gets nothing; failures and what needs attention come first."""
    charging = _charging(snapshot)
    attention = snapshot.decision.attention
    if snapshot.outcome == "failed":
        return f"{charging}, but the last cycle failed" if charging else "The last cycle failed"
    if attention:
        return f"{charging}. Needs attention: {attention}" if charging else _sentence(attention)
    return charging or _why_not(snapshot)


def is_well(snapshot: Snapshot) -> bool:
    """Whether the last cycle succeeded and nothing needs attention."""
    return snapshot.outcome != "failed" and not snapshot.decision.attention


def _charging(snapshot: Snapshot) -> str:
    """What the car gets; empty unless it charges."""
    car_w, setpoint = snapshot.charger.car_w, snapshot.decision.setpoint
    if car_w is None or not snapshot.is_charging:
        return ""
    current = f" {setpoint}" if setpoint and setpoint.current_a else ""
    boost = "Boost, charging" if snapshot.boost else "Charging"
    power = flows(sample_of(snapshot))
    solar = "" if power is None else f", {_kw(power.car_from_solar)} of it solar"
    return f"{boost}{current}: {_kw(car_w)} kW{solar}"


def _why_not(snapshot: Snapshot) -> str:
    charger, surplus_w = snapshot.charger, snapshot.decision.surplus_w
    surplus = "" if surplus_w is None else f", {_kw(max(surplus_w, 0.0))} kW of surplus"
    setpoint = snapshot.decision.setpoint
    if snapshot.policy.mode == "off" and not snapshot.boost:
        return "Off: the charger is left alone"
    if charger.mode is ChargerMode.DISCONNECTED:
        return f"No car connected{surplus}"
    if setpoint is not None and setpoint.current_a and STARTING in snapshot.decision.reason:
        return f"The car is starting with {setpoint}"
    if setpoint is not None and setpoint.current_a:
        return f"The car is offered {setpoint} but draws nothing"
    if snapshot.inverter.asleep:
        return "Not charging: the sun is down"
    return f"Not charging{surplus}" if surplus else "Not charging"


def _next_step(snapshot: Snapshot) -> str:
    """When charging will start; empty while it charges or if that does not depend on the sun."""
    policy, setpoint = snapshot.policy, snapshot.decision.setpoint
    if policy.mode != "solar" or snapshot.boost or _charging(snapshot):
        return ""
    if setpoint is None or setpoint.current_a:
        return ""
    phases = 3 if policy.phases == "3" else 1
    needed_w = phases * policy.min_current_a * NOMINAL_VOLTAGE_V + max(
        policy.export_margin_w or 0, 0
    )
    if (snapshot.inverter.pv_w or 0.0) < _NIGHT_W:
        return f"Charging starts when PV exceeds the house's use by {_kw(needed_w)} kW."
    return (
        f"Charging starts about {policy.start_threshold_s} s after the surplus reaches "
        f"{_kw(needed_w)} kW, sooner with more."
    )


def _plan(snapshot: Snapshot) -> str:
    """What is planned; empty where nothing is."""
    if snapshot.plan is None:
        return ""
    page = "/plan" if snapshot.site == HOME else f"/plan/{snapshot.site}"
    return f"**Plan:** {snapshot.plan} ([its page]({page}))"


def _powers(now: Now) -> str:
    """Powers now and energies today, by source and use."""
    snapshot, total = now.snapshot, now.day.total
    power = flows(sample_of(snapshot))
    has_battery = snapshot.decision.state.has_battery
    names = {"PV": "pv", "House": "house", "**Car**": "car", "from solar": "car_from_solar"}
    names |= {"from battery": "car_from_battery"} if has_battery else {}
    names |= {"from grid": "car_from_grid"}
    names |= {"Battery, in": "charged", "Battery, out": "discharged"} if has_battery else {}
    names |= {"Grid, sold": "exported", "Grid, bought": "imported"}
    rows = [
        (
            name,
            UNKNOWN if power is None else _kw(max(getattr(power, flow), 0.0)),
            as_kwh(max(getattr(total, flow), 0.0) / 3.6e6),
        )
        for name, flow in names.items()
    ]
    return as_table(("", "kW now", "kWh today"), "lrr", rows)


def _today(now: Now) -> str:
    """The day in one line, and whether everything is well; what is not is in the headline."""
    snapshot, total = now.snapshot, now.day.total
    car, solar = (as_kwh(max(one, 0.0) / 3.6e6) for one in (total.car, total.car_from_solar))
    saved = (
        "" if snapshot.currency is None else f", {now.day.saved:z,.2f} {snapshot.currency} saved"
    )
    return (
        f"**Today:** {car} kWh in the car, {solar} of it solar{saved}."
        f"{' **Everything is well.**' if is_well(snapshot) else ''}"
    )


def _health_table(now: Now) -> str:
    """Each part and its state; the first row is the head, which both UIs show well."""
    first, *others = _health(now)
    return as_table(first, "ll", others)


def _health(now: Now) -> Iterator[tuple[str, str]]:
    snapshot, state = now.snapshot, now.snapshot.decision.state
    good = "none today" if now.last_good_at is None else _clock(now.last_good_at, now)
    yield "Last good cycle", good
    yield "Inverter", _inverter(snapshot)
    yield "Charger", _charger(snapshot)
    if now.cloud_calls is not None:
        yield "Easee cloud", f"{now.cloud_calls:,} calls today"
    if state.has_battery:
        yield "Battery", _battery(snapshot)
    if other := limited_by(snapshot):
        yield "Limited by", other
    yield (
        "Warnings",
        snapshot.decision.attention
        or (_sentence(snapshot.reason) if snapshot.outcome == "failed" else "none"),
    )


def limited_by(snapshot: Snapshot) -> str:
    """Which other controller gives the car less, and how much; empty if none does."""
    setpoint = snapshot.decision.setpoint or snapshot.decision.state.setpoint
    limit_a = snapshot.decision.state.external_limit_a
    if named := other_controller(snapshot.charger, setpoint.current_a if setpoint else 0):
        return named
    return f"another controller allows {_amperes(limit_a)} A" if limit_a else ""


def _amperes(limit_a: Sequence[float]) -> str:
    return " / ".join(f"{one:g}" for one in limit_a)


def _inverter(snapshot: Snapshot) -> str:
    inverter = snapshot.inverter
    if inverter.asleep:
        return "asleep"
    if inverter.pv_w is None:
        return "no answer"
    return inverter.problem or "answers"


def _battery(snapshot: Snapshot) -> str:
    soc, hold = snapshot.inverter.battery_soc_pct, snapshot.decision.state.hold
    held = ", kept out of the car" if hold is not BatteryHold.FREE else ""
    return f"{UNKNOWN if soc is None else f'{soc:.0f}'} %{held}"


def _charger(snapshot: Snapshot) -> str:
    charger = snapshot.charger
    if not charger.online or charger.mode is None:
        return "unknown" if charger.mode is None else "offline"
    return charger.mode.name.replace("_", " ").lower()


def _clock(at: datetime, now: Now) -> str:
    return f"{at.astimezone(now.zone):%H:%M:%S}"


def _kw(power_w: float) -> str:
    return f"{power_w / 1000:z.1f}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
