"""Proves which way the grid meter counts, before anything relies on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from easee_load_balancer.commands.prefect_server import prefect_server
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.control.state import TIME_TO_LIVE
from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import Account, ChargerAddress
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.energy.sign_proof import (
    PowerSample,
    Sign,
    by_balance,
    by_step,
    house_w,
    typical,
)
from easee_load_balancer.measurements import (
    MIN_CURRENT_A,
    ChargerMode,
    ChargerState,
    InverterReading,
    Setpoint,
)
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.system.settings import Settings
from easee_load_balancer.system.site_writer import no_cycle

SAMPLES, SAMPLE_EVERY_S = 5, 2.0
STEP_A = 4
FOLLOWS_WITHIN_S, LOOK_EVERY_S = 90.0, 10.0
METER_FOLLOWS_S = 10.0
"""Slow meters show a change of the car's power after this long."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found, with a sentence for the owner."""

    sign: Sign
    sentence: str


@dataclass(slots=True)
class Calibrator:
    """Tests the meter of one house. Nothing else may use its inverter meanwhile."""

    inverter: InverterAddress
    account: Account
    charger: ChargerAddress
    policy: Policy
    folder: Path
    say: Say

    async def run(self, *, may_step: bool) -> Calibration:
        """Try the power balance first; with `may_step`, change the car's current if that fails.

        A step outranks the balance. Raises an InverterError or a ChargerError.
        """
        inverter, easee = Inverter(self.inverter), EaseeClient(self.account, self.folder)
        try:
            state = await easee.state(self.charger)
            sample = await self._sample(inverter, state)
            if sample is None:
                return Calibration(Sign.UNPROVEN, "No power from the grid meter or the inverter.")
            found = self._balanced(sample)
            if found.sign is not Sign.RIGHT and may_step:
                stepped = await self._step(inverter, easee, state, sample)
                proven = stepped.sign is not Sign.UNPROVEN
                return stepped if proven or found.sign is Sign.UNPROVEN else found
            return found
        finally:
            await inverter.close()
            await easee.close()

    async def _sample(self, inverter: Inverter, state: ChargerState) -> PowerSample | None:
        """Powers over some seconds; None where they are unknown."""
        samples = []
        for number in range(SAMPLES):
            if number:
                await asyncio.sleep(SAMPLE_EVERY_S)
            reading = await inverter.read()
            if reading.grid_export_w is not None and reading.inverter_ac_w is not None:
                car_w = (state.car_w or 0.0) if state.mode is ChargerMode.CHARGING else 0.0
                samples.append(PowerSample(reading.grid_export_w, reading.inverter_ac_w, car_w))
        return typical(samples) if samples else None

    def _balanced(self, sample: PowerSample) -> Calibration:
        sign = by_balance(sample)
        shown = (
            f"it shows {_kw(sample.grid_export_w, 'export', 'import')} while the inverter makes "
            f"{sample.inverter_ac_w / 1000:.1f} kW and the car takes {sample.car_w / 1000:.1f} kW"
        )
        if sign is Sign.RIGHT:
            return Calibration(sign, f"The grid meter's sign is right: {shown}.")
        if sign is Sign.WRONG:
            return Calibration(
                sign,
                f"The grid meter counts the wrong way, or there is a source that is not read: "
                f"{shown}. {self._remedy()}",
            )
        return Calibration(
            sign,
            f"It is not proven yet which way the grid meter counts ({shown}, so the house would "
            f"take {house_w(sample) / 1000:.1f} kW). While the car charges, `easee-balancer check "
            "--calibrate` proves it by changing the car's current.",
        )

    async def _step(
        self, inverter: Inverter, easee: EaseeClient, state: ChargerState, before: PowerSample
    ) -> Calibration:
        """Change the car's current, compare, and set it back."""
        reading = await inverter.read()
        present, other = _setpoints(state, reading, self.policy)
        if present is None or other is None:
            return Calibration(Sign.UNPROVEN, "The car's current cannot be changed enough.")
        self.say(f"Changing the car's current from {present} to {other} for a minute or two ...")
        try:  # a command without an answer may have been carried out
            await easee.set_circuit_current(self.charger, other, TIME_TO_LIVE)
            changed = await self._followed(easee, before.car_w)
            after = None if changed is None else await self._sample(inverter, changed)
        finally:
            await easee.set_circuit_current(self.charger, present, TIME_TO_LIVE)
        if after is None:
            return Calibration(Sign.UNPROVEN, "The car did not follow the change of its current.")
        sign = by_step(before, after)
        changes = (
            f"the car took {_change(after.car_w - before.car_w)} and the meter shows "
            f"{_change(after.grid_export_w - before.grid_export_w)} export"
        )
        if sign is Sign.WRONG:
            sentence = f"The grid meter counts the wrong way: {changes}. {self._remedy()}"
            return Calibration(sign, sentence)
        if sign is Sign.UNPROVEN:
            return Calibration(
                sign,
                f"Not proven: {changes}. Something else changed too, or the battery compensated: "
                "try again when the battery is full or empty and the house is quiet.",
            )
        return Calibration(sign, f"The grid meter's sign is right: {changes}.")

    async def _followed(self, easee: EaseeClient, before_w: float) -> ChargerState | None:
        """The charger once the car has changed its power; None if it does not."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + FOLLOWS_WITHIN_S
        least_w = (STEP_A - 1) * NOMINAL_VOLTAGE_V
        while loop.time() < until_s:
            await asyncio.sleep(LOOK_EVERY_S)
            state = await easee.state(self.charger)
            if state.car_w is not None and abs(state.car_w - before_w) >= least_w:
                await asyncio.sleep(METER_FOLLOWS_S)
                return await easee.state(self.charger)
        return None

    def _remedy(self) -> str:
        if self.inverter.meter_counts_backwards:
            return "Run `easee-balancer setup --no-meter-backwards`."
        remedy = "Have the meter's direction corrected (in the FusionSolar app, as installer)."
        if self.inverter.plant == "single":
            return remedy
        return f"{remedy} If FusionSolar shows it correctly, use `setup --meter-backwards`."


def run_calibration(project: Path, port: int, console: Console, name: str = Site.DEFAULT) -> bool:
    """`check --calibrate`: test the sign, with a step if the car charges; whether it is right.

    Raises BalancerError if blocks are missing, there is no Prefect server, or a device fails.
    """
    folder = Settings().folder
    with prefect_server(project, port, console):
        site = asyncio.run(Site.load(name))
    calibrator = Calibrator(
        site.inverter,
        site.credentials,
        site.charger,
        site.policy,
        folder,
        lambda line: console.print(Text(line, "dim")),
    )
    with no_cycle(site.name):
        found = asyncio.run(calibrator.run(may_step=True))
    colour = {Sign.RIGHT: "green", Sign.WRONG: "red", Sign.UNPROVEN: "yellow"}[found.sign]
    console.print(Text(found.sentence, colour))
    return found.sign is Sign.RIGHT


def _setpoints(
    state: ChargerState, reading: InverterReading, policy: Policy
) -> tuple[Setpoint | None, Setpoint | None]:
    """The present setpoint and another one, lower if possible; None for one that is not possible.

    A raise has to fit within the main fuse whichever way the currents flow.
    """
    amps = [one for one in state.circuit_current_a if one]
    if state.mode is not ChargerMode.CHARGING or not state.car_w or not amps:
        return None, None
    phases = 1 if state.output_phases == 1 else 3
    drawn_a = round(state.car_w / (phases * NOMINAL_VOLTAGE_V))
    present = Setpoint(max(MIN_CURRENT_A, int(min(amps))), 1 if len(amps) == 1 else 3)
    if drawn_a >= MIN_CURRENT_A + STEP_A - 1:
        return present, Setpoint(MIN_CURRENT_A, present.phases)
    flowing_a = [abs(one) for one in reading.grid_current_phase_a if one is not None]
    usable_a = policy.main_fuse_a - policy.fuse_margin_a
    if not flowing_a or max(flowing_a) + STEP_A > usable_a:
        return present, None
    return present, Setpoint(present.current_a + STEP_A, present.phases)


def _kw(power_w: float, positive: str, negative: str) -> str:
    return f"{abs(power_w) / 1000:.1f} kW of {positive if power_w >= 0 else negative}"


def _change(power_w: float) -> str:
    return f"{abs(power_w) / 1000:.1f} kW {'more' if power_w >= 0 else 'less'}"
