"""Whether the meter's sign is right: what the car takes more has to lower the export.

Each change of the car's power is a test. What the inverter feeds in addition meanwhile is known,
so that clouds do not count. Only a load that falls by twice the car's rise looks the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.control.sparse import Sparse
from easee_load_balancer.measurements import InverterReading

if TYPE_CHECKING:
    from easee_load_balancer.control.cycle_inputs import Assessment, Proposal

WRONG_SIGN = "wrong meter sign: export rises when the car takes more"
CHECKING = "checking the meter's sign"
PAUSE = timedelta(hours=1)
"""After this long the car may charge again, which tests the sign once more."""
_LEAST_W = 600.0
"""A smaller change of the car's power is lost among the house's own loads."""
_PROOF_W = 2000.0
"""The sign is wrong once changes of this much in a row have shown it."""
_SUSPECT_W = 1200.0
"""From here on the car is lowered at once, which is the next change."""
_TOLERANCE, _TOLERANCE_W = 0.3, 100.0
_SHOWN_AFTER = timedelta(seconds=12)
"""From a command until the meter shows its effect."""
_SHOWN_UNTIL = timedelta(seconds=75)
"""Later the house has changed too."""


class Balance(BaseModel):
    """The powers of one cycle in whole W, which a change of the car's power is compared with."""

    model_config = ConfigDict(frozen=True)

    car_w: int
    export_w: int
    ac_w: int
    """What the inverter feeds."""


class MeterSign(Sparse):
    """What the car's changes have said about the sign; stored with the controller state."""

    now: Balance | None = None
    """In the last cycle."""
    before: Balance | None = None
    """In the cycle that made the last change."""
    checked_at: AwareDatetime | None = None
    """The change that has been judged."""
    doubted_at: AwareDatetime | None = None
    """The change after which one reading had the wrong sign."""
    against_w: float = 0.0
    """Changes in a row that spoke against the sign, added up."""
    wrong_since: AwareDatetime | None = None
    paused_until: AwareDatetime | None = None
    mode: str = ""
    """The owner's mode then; a change of mode starts the check again."""
    counts_backwards: bool = False
    """The owner's setting then; a change of it starts the check again."""

    def is_doubted(self, changed_at: datetime | None) -> bool:
        """Whether one reading after the last change had the wrong sign, and none since."""
        doubted = self.doubted_at is not None and self.doubted_at == changed_at
        return doubted and self.checked_at != changed_at

    def is_suspect(self, changed_at: datetime | None, now: datetime) -> bool:
        """Whether the last change spoke against the sign, and the next one has not been shown."""
        if self.against_w < _SUSPECT_W or self.wrong_since is not None or changed_at is None:
            return False
        return self.checked_at == changed_at or now - changed_at <= _SHOWN_UNTIL


def check_sign(sign: MeterSign, case: Assessment) -> MeterSign:
    """The state after this cycle's readings."""
    inputs, state = case.inputs, case.state
    setting = (inputs.policy.mode, inputs.inverter.meter_counts_backwards)
    if sign.wrong_since is not None and setting != (sign.mode, sign.counts_backwards):
        sign = MeterSign()
    balance = _balance(inputs.inverter, case)
    sign = sign.model_copy(update={"now": balance})
    age = case.since(state.changed_at)
    due = state.changed_at != sign.checked_at and _SHOWN_AFTER <= age <= _SHOWN_UNTIL
    if balance is None or sign.before is None or not due:
        return sign
    rise_w = balance.car_w - sign.before.car_w
    expected_w = balance.ac_w - sign.before.ac_w - rise_w
    shown_w = balance.export_w - sign.before.export_w
    if min(abs(rise_w), abs(expected_w)) < _LEAST_W:
        return sign
    tolerance_w = _TOLERANCE * abs(expected_w) + _TOLERANCE_W
    if abs(shown_w - expected_w) <= tolerance_w:
        return MeterSign(now=balance, checked_at=state.changed_at)
    if abs(shown_w + expected_w) > tolerance_w:
        return sign.model_copy(update={"doubted_at": None})
    if sign.doubted_at != state.changed_at:
        return sign.model_copy(update={"doubted_at": state.changed_at})
    against_w = sign.against_w + abs(expected_w)
    update: dict[str, object] = {"checked_at": state.changed_at, "against_w": against_w}
    if against_w >= _PROOF_W:
        update |= {"wrong_since": sign.wrong_since or inputs.now, "mode": inputs.policy.mode}
        update |= {
            "paused_until": inputs.now + PAUSE,
            "counts_backwards": inputs.inverter.meter_counts_backwards,
        }
    return sign.model_copy(update=update)


def pause_on_wrong_sign(case: Assessment, proposal: Proposal) -> Proposal:
    """With a wrong sign the surplus is nonsense: no more than the minimum, in `solar` nothing."""
    sign, policy, active = case.state.sign, case.inputs.policy, case.active
    lowest_a = 0 if policy.mode == "solar" else policy.min_current_a
    if policy.mode != "fast" and sign.is_suspect(case.state.changed_at, case.inputs.now):
        return replace(proposal, current_a=min(proposal.current_a, lowest_a), why=CHECKING)
    if sign.is_doubted(case.state.changed_at):  # one more reading before the next raise
        keep = replace(proposal, phases=active.phases, current_a=active.current_a)
        return replace(keep, why=CHECKING) if proposal.is_above(active) else proposal
    if sign.wrong_since is None or sign.paused_until is None or policy.mode == "fast":
        return proposal
    if case.inputs.now >= sign.paused_until:
        return replace(proposal, why=f"{WRONG_SIGN}; trying again")
    return replace(proposal, current_a=min(proposal.current_a, lowest_a), why=WRONG_SIGN)


def attention(sign: MeterSign) -> str | None:
    """What the owner should look at; None while nothing speaks against the sign."""
    return None if sign.wrong_since is None else WRONG_SIGN


def _balance(inverter: InverterReading, case: Assessment) -> Balance | None:
    """The powers of this cycle; None where one is not known for sure."""
    export_w, ac_w = inverter.grid_export_w, inverter.inverter_ac_w
    if inverter.asleep or export_w is None or ac_w is None or not case.car.power.known:
        return None
    car_w = round(case.car.power.middle_w)
    return Balance(car_w=car_w, export_w=round(export_w), ac_w=round(ac_w))
