"""What deserves a notification, and when: once it has lasted, and again only after it was over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.reports.now_page import limited_by

OVER_AFTER = timedelta(minutes=5)
"""What has not been seen for this long is over."""
_NOTED_EVERY = timedelta(minutes=1)


class Alert(StrEnum):
    """What is reported to the owner; the last part of the event's name."""

    ATTENTION = "attention"
    NOT_CHARGING = "not-charging"
    LIMITED = "limited"


LASTS = {
    Alert.ATTENTION: timedelta(minutes=5),
    Alert.NOT_CHARGING: timedelta(minutes=10),
    Alert.LIMITED: timedelta(minutes=10),
}
"""How long it has to last."""


class Standing(BaseModel):
    """When a condition began, when it was last seen, and whether the owner was notified."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    since: AwareDatetime
    seen_at: AwareDatetime
    told: bool = False


class Alerts(BaseModel):
    """The present conditions; kept from one cycle to the next."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    standing: dict[Alert, Standing] = Field(default_factory=dict)

    def after(
        self, now: datetime, holds: Mapping[Alert, str]
    ) -> tuple[Alerts, Mapping[Alert, str]]:
        """The conditions after a cycle, and what to notify the owner of now."""
        standing = {
            alert: one
            for alert, one in self.standing.items()
            if one.seen_at <= now  # unless the clock was set back since
            and (alert in holds or now - one.seen_at < OVER_AFTER)
        }
        tell = {}
        for alert, sentence in holds.items():
            one = standing.get(alert) or Standing(since=now, seen_at=now)
            ripe = not one.told and now - one.since >= LASTS[alert]
            if ripe:
                tell[alert] = sentence
            noted = ripe or now - one.seen_at >= _NOTED_EVERY
            update = {"seen_at": now, "told": one.told or ripe} if noted else {}
            standing[alert] = one.model_copy(update=update)
        return Alerts(standing=standing), tell


def conditions(snapshot: Snapshot) -> dict[Alert, str]:
    """What the owner may want to know about this cycle, each with a sentence."""
    found = {}
    if snapshot.decision.attention:
        found[Alert.ATTENTION] = snapshot.reason
    if _idle_in_sunshine(snapshot):
        found[Alert.NOT_CHARGING] = snapshot.reason
    if snapshot.charger.car_connected and (who := limited_by(snapshot)):
        found[Alert.LIMITED] = f"{who[:1].upper()}{who[1:]}: {snapshot.reason}"
    return found


def _idle_in_sunshine(snapshot: Snapshot) -> bool:
    """Whether a car that is not full gets nothing although the surplus would be enough."""
    charger, policy, decision = snapshot.charger, snapshot.policy, snapshot.decision
    if policy.mode == "off" or not charger.car_connected or snapshot.is_charging:
        return False
    offered = decision.setpoint is not None and decision.setpoint.current_a > 0
    if charger.mode is ChargerMode.COMPLETED or (offered and decision.state.drew):
        return False  # it has stopped by itself: full, or its own limit
    phases = 3 if policy.phases == "3" else 1
    needed_w = phases * policy.min_current_a * NOMINAL_VOLTAGE_V
    return decision.surplus_w is not None and decision.surplus_w >= needed_w
