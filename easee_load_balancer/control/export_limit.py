"""A limit of the export: whether there is one, and whether it holds the PV down now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.sparse import Sparse
from easee_load_balancer.measurements import InverterReading

TOLERANCE_W = 100.0
"""An inverter keeps the export this close to its limit."""
_DARK_W = 50.0
"""With less PV than this nothing is throttled."""
_FULL_PCT = 98.0
"""A battery counts as full from here."""
_EXPORTS_W = 300.0
"""More than what regulation leaves over."""
_EXPORTS_FOR = timedelta(minutes=1)
"""An inverter has throttled its PV sooner than this."""
_PROVES_LIMIT = timedelta(minutes=10)
"""A full battery without export for this long proves a limit."""
_FORGETS_EXPORT = timedelta(hours=24)
"""An export less than this long ago proves that there is none."""


class Probe(BaseModel):
    """An offer to the car beyond the visible surplus, to see whether the PV has more."""

    model_config = ConfigDict(frozen=True)

    phases: Literal[1, 3]
    current_a: int
    begun_at: AwareDatetime
    shown_since: AwareDatetime | None = None
    """Since when the readings have shown its effect."""


class HiddenSurplus(Sparse):
    """The search for surplus that a limit hides; stored with the controller state."""

    probe: Probe | None = None
    """What is being tried."""
    step_a: int = 1
    """The next raise, in A."""
    failures: int = 0
    """Probes that PV did not cover, since two in a row that it did."""
    carried: bool = False
    """Whether it covered the last one."""
    tried_at: AwareDatetime | None = None
    """When the last probe ended after which the next one has to wait."""
    fell_at: AwareDatetime | None = None
    """When the surplus fell and the current with it."""
    limited_since: AwareDatetime | None = None
    """Since when the limit may have held PV down."""
    offered_a: int = 0
    """Current of the active setpoint times its phases in the last cycle."""
    full_since: AwareDatetime | None = None
    """Since when neither grid, car nor full battery has taken anything, although the sun shines."""
    export_since: AwareDatetime | None = None
    exported_at: AwareDatetime | None = None
    """When the house last exported for longer than a moment."""
    never_exports: bool = False
    """Whether a full battery and no export beside it have shown that there is a limit."""


def export_limit_w(
    policy: Policy, inverter: InverterReading, hidden: HiddenSurplus
) -> float | None:
    """The most that the plant exports; None where nothing limits it, as far as is known.

    The owner's setting, else the inverter's, else what it exports while it says that it limits
    its power, else 0 where a full battery has shown it.
    """
    if policy.export_limit_w is not None:
        return float(policy.export_limit_w)
    if inverter.export_limit_w is not None:
        return inverter.export_limit_w
    if inverter.throttled and inverter.grid_export_w is not None:
        return max(0.0, inverter.grid_export_w)
    return 0.0 if hidden.never_exports else None


def is_at_limit(inverter: InverterReading, limit_w: float) -> bool:
    """Whether as much is exported as may be: PV may be throttled."""
    export_w, charge_w, pv_w = inverter.grid_export_w, inverter.battery_charge_w, inverter.pv_w
    if export_w is None or charge_w is None or pv_w is None:
        return False
    return export_w >= limit_w - TOLERANCE_W and charge_w >= -TOLERANCE_W and pv_w > _DARK_W


def notice_limit(
    hidden: HiddenSurplus, now: datetime, inverter: InverterReading, *, car_draws: bool
) -> HiddenSurplus:
    """A full battery, sun and no export for minutes, and none on the day before: it is limited.

    An export that lasts longer than a moment proves the opposite.
    """
    export_w, charge_w, pv_w = inverter.grid_export_w, inverter.battery_charge_w, inverter.pv_w
    soc_pct = inverter.battery_soc_pct
    if not inverter.has_battery or export_w is None or charge_w is None or soc_pct is None:
        return hidden
    export_since = (hidden.export_since or now) if export_w > _EXPORTS_W else None
    exported_at, never = hidden.exported_at, hidden.never_exports
    if export_since is not None and now - export_since >= _EXPORTS_FOR:
        exported_at, never = now, False
    balanced = max(abs(export_w), abs(charge_w)) <= TOLERANCE_W and (pv_w or 0.0) > _DARK_W
    full = balanced and soc_pct >= _FULL_PCT and not car_draws
    full_since = (hidden.full_since or now) if full else None
    recently = exported_at is not None and now - exported_at < _FORGETS_EXPORT
    if full_since is not None and now - full_since >= _PROVES_LIMIT and not recently:
        never = True
    update = {
        "export_since": export_since,
        "exported_at": exported_at,
        "full_since": full_since,
        "never_exports": never,
    }
    return hidden.model_copy(update=update)
