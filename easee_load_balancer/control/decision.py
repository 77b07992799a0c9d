"""What a control cycle decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from easee_load_balancer.control.state import ControllerState, after_push
from easee_load_balancer.measurements import Setpoint


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now and why."""

    setpoint: Setpoint | None
    """None: leave the charger as it is."""
    push: bool
    """Whether the setpoint has to be sent: it changed, or its time to live needs renewing."""
    reason: str
    state: ControllerState
    """For the next cycle, if nothing is pushed."""
    surplus_w: float | None = None
    attention: str | None = None
    """What the owner should look at: the charger or a meter does not do what it should."""

    @property
    def lowers(self) -> bool:
        """Whether it takes current from a conductor, as a command that protects the fuse does.

        Not before the first command has been accepted: this login may never be allowed any.
        """
        before, after = self.state.setpoint, self.setpoint
        if before is None or after is None:
            return False
        pairs = zip(before.circuit_current_a, after.circuit_current_a, strict=True)
        return any(then_a > now_a for then_a, now_a in pairs)

    def warned(self, problem: str) -> Decision:
        """This decision with a problem that the owner should look at; the car is still balanced."""
        return replace(
            self,
            reason=f"{self.reason}. {problem}",
            attention="; ".join(filter(None, (self.attention, problem))),
        )

    def pending_record(self, now: datetime) -> str:
        """What to record before its command is sent; empty if none is."""
        if not self.push or self.setpoint is None:
            return ""
        return ControllerState.pending_record(self.setpoint, now)

    def pushed(self, now: datetime) -> Decision:
        """This decision once the charger has accepted its setpoint."""
        if self.setpoint is None:
            return self
        return replace(self, state=after_push(self.state, self.setpoint, now))

    def unconfirmed(self, now: datetime) -> Decision:
        """This decision when nobody knows whether the charger has applied its setpoint."""
        if self.setpoint is None:
            return self
        return replace(self, state=self.state.with_pending(self.setpoint, now))
