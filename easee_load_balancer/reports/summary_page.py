"""A summary in words: a headline, and a Markdown page with a chart and tables."""

from __future__ import annotations

from datetime import timedelta

from easee_load_balancer.energy.power_flows import MAX_STEP_INTERVALS
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.reports.by_charger import as_charger_table
from easee_load_balancer.reports.markdown import UNKNOWN, as_duration, as_kwh, as_table, embedded
from easee_load_balancer.reports.summary import DayDetail, Summary
from easee_load_balancer.reports.summary_charts import by_bar

_MAX_GAPS = 8
_NOTABLE_GAP = timedelta(minutes=3)


def headline(summary: Summary) -> str:
    """How much solar energy went into the car, what that saved, and whether all cycles ran."""
    if not summary.total.measured_s:
        return _sentence(summary)
    return f"{_sentence(summary)}; {_operation(summary.total)}"


def _sentence(summary: Summary) -> str:
    total = summary.total
    if not total.measured_s:
        return f"No measurements for {summary.period.title}"
    if total.car_kwh < 0.05:
        return f"No charging; PV produced {as_kwh(total.pv_kwh)} kWh"
    solar_pct = round(100 * total.car_from_solar_kwh / total.car_kwh)
    sentence = (
        f"{as_kwh(total.car_from_solar_kwh)} of the car's {as_kwh(total.car_kwh)} kWh "
        f"were solar ({solar_pct} %)"
    )
    if total.saved is not None:
        sentence += f", saved {_money(total.saved, summary.currency)}"
    return sentence


def markdown(summary: Summary, picture: bytes | None, detail: DayDetail | None = None) -> str:
    """The whole page; `detail` for a single day."""
    total = summary.total
    parts = [
        f"# {_sentence(summary)}",
        f"**{summary.period.title}**, {summary.site}: {_operation(total)}.",
    ]
    if picture is not None:
        parts += [embedded(picture, summary.period.title)]
    parts += [
        "## Energy balance",
        _balance(total),
        "## The car",
        _car(total, summary.currency),
        *(("## Each charger", as_charger_table(summary.chargers)) if summary.chargers else ()),
        "## Operation",
        _operation_table(summary),
    ]
    if len(summary.days) > 1:
        parts += ["## Breakdown", _breakdown(summary)]
    parts += ["## Compared with the devices' own counters", _cross_check(total)]
    if summary.cloud_calls:
        parts += ["## Calls to the Easee cloud", _cloud_calls(summary)]
    if detail is not None:
        parts += _gap_list(detail, summary)
    return "\n\n".join(parts) + "\n"


def _operation(total: Energy) -> str:
    """Whether all cycles ran, in half a sentence."""
    problems = []
    if total.cycles_failed:
        problems.append(f"{total.cycles_failed:,} of {total.cycles:,} cycles failed")
    if total.cycles_attention:
        problems.append(f"{total.cycles_attention:,} of {total.cycles:,} cycles needed attention")
    if total.cycles_missed:
        problems.append(f"{total.cycles_missed:,} cycles missed")
    if total.unmeasured_s >= _NOTABLE_GAP.total_seconds():
        problems.append(f"{as_duration(total.unmeasured_s)} without measurements")
    if total.has_unseen_source:
        problems.append(f"{as_kwh(total.unseen_kwh)} kWh from a source that is not read")
    return ", ".join(problems) or f"all {total.cycles:,} cycles ran"


def _balance(total: Energy) -> str:
    sources = [
        ("PV", total.pv_kwh),
        ("Grid", total.import_kwh),
        ("Battery", total.discharge_kwh),
        ("Not read", total.unseen_kwh) if total.has_unseen_source else ("", None),
    ]
    uses = [
        ("House", total.house_kwh),
        ("Car", total.car_kwh),
        ("Sold to the grid", total.export_kwh),
        ("Into the battery", total.charge_kwh),
    ]
    rows = [
        (source, "" if kwh is None else as_kwh(kwh), use, as_kwh(used_kwh))
        for (source, kwh), (use, used_kwh) in zip(sources, uses, strict=True)
    ]
    supplied = total.pv_kwh + total.import_kwh + total.discharge_kwh + total.unseen_kwh
    used = total.house_kwh + total.car_kwh + total.export_kwh + total.charge_kwh
    rows.append(("**Total**", f"**{as_kwh(supplied)}**", "**Total**", f"**{as_kwh(used)}**"))
    notes = []
    if total.losses_kwh >= 0.05:
        notes.append(f"House includes {as_kwh(total.losses_kwh)} kWh of inverter losses.")
    if total.has_unseen_source:
        notes.append(
            f"At least {as_kwh(total.unseen_kwh)} kWh came from a source that is not read, such as "
            "a second inverter or a plug-in solar panel: more was exported than PV and battery "
            "supplied. The house used more than shown, and its shares of solar are unknown."
        )
    return "\n\n".join([as_table(("From", "kWh", "To", "kWh"), "lrlr", rows), *notes])


def _car(total: Energy, currency: str | None) -> str:
    rows = [
        (name, as_kwh(kwh), _pct(100 * kwh / total.car_kwh if total.car_kwh else None))
        for name, kwh in (
            ("From solar", total.car_from_solar_kwh),
            ("From the battery", total.car_from_battery_kwh),
            ("From the grid", total.car_from_grid_kwh),
        )
    ]
    table = as_table(("", "kWh", "share"), "lrr", rows)
    if total.car_cost is not None and total.car_arrival_cost is not None:
        costs = (total.car_solar_cost, total.car_battery_cost, total.car_grid_cost)
        rows_with_cost = [(*row, _money(cost, None)) for row, cost in zip(rows, costs, strict=True)]
        table = as_table(("", "kWh", "share", currency or ""), "lrrr", rows_with_cost)
        return f"{table}\n\n{_against_arrival(total.car_cost, total.car_arrival_cost, currency)}"
    if total.saved is None:
        return f"{table}\n\nSave a block 'Tariff' to see costs and savings."
    return (
        f"{table}\n\nThe solar energy saved {_money(total.saved, currency)}: what it would have "
        "cost from the grid, less the export income given up."
    )


def _against_arrival(cost: float, arrival_cost: float, currency: str | None) -> str:
    less = arrival_cost - cost
    return (
        f"The car's energy cost {_money(cost, currency)}, counting solar energy as the export "
        f"income given up. Charged on arrival it would have cost {_money(arrival_cost, currency)}: "
        f"{_money(abs(less), currency)} {'saved' if less >= 0 else 'more was paid'}."
    )


def _operation_table(summary: Summary) -> str:
    total, currency = summary.total, summary.currency
    rows = [
        ("Self-consumption", _pct(total.self_consumption_pct)),
        ("Self-sufficiency", _pct(total.self_sufficiency_pct)),
        ("Charging", as_duration(total.charging_s)),
        ("Charging starts", _seen(total.starts, total)),
        ("Phase changes", _seen(total.phase_changes, total)),
        ("Cycles", f"{total.cycles:,}"),
        ("Cycles failed", f"{total.cycles_failed:,}"),
        ("Cycles that needed attention", f"{total.cycles_attention:,}"),
        ("Cycles missed", f"{total.cycles_missed:,}"),
        ("Without measurements", as_duration(total.unmeasured_s)),
        ("Longest gap", as_duration(total.longest_gap_s)),
    ]
    if total.grid_unknown_s:
        rows.append(("Inverter asleep", as_duration(total.grid_unknown_s)))
    if total.car_unknown_s:
        rows.append(("Car unknown", as_duration(total.car_unknown_s)))
    if total.saved is not None:
        rows += [
            ("Import cost", _money(total.import_cost, currency)),
            ("Import cost of the car", _money(total.car_grid_cost, currency)),
            ("Export income", _money(total.export_income, currency)),
        ]
    notes = [
        "Self-consumption is the share of PV energy used at home, self-sufficiency the share of "
        "consumption not covered by the grid."
    ]
    if total.grid_unknown_s:
        notes += ["While the inverter is asleep, grid and house are unknown."]
    if total.car_unknown_s:
        notes += ["While the car is unknown, it counts as part of the house."]
    return f"{as_table(('', summary.period.kind), 'lr', rows)}\n\n{' '.join(notes)}"


def _seen(count: int, total: Energy) -> str:
    """A count that gaps may have made too low."""
    if not total.unmeasured_s and not total.car_unknown_s:
        return f"{count:,}"
    return f"at least {count:,}" if count else "none seen"


def _cross_check(total: Energy) -> str:
    """Samples and counters for the same time, and what the counters show for the gaps."""
    checks = [
        ("Meter, import", total.import_sampled_kwh, "meter_import"),
        ("Meter, export", total.export_sampled_kwh, "meter_export"),
        ("Battery, charged", total.charge_sampled_kwh, "battery_charged"),
        ("Battery, discharged", total.discharge_sampled_kwh, "battery_discharged"),
        ("Charger", total.car_kwh, "charger_session"),
    ]
    rows = []
    for title, sampled, name in checks:
        counted = getattr(total, f"{name}_kwh")
        if counted is None:
            continue
        difference = UNKNOWN if sampled is None else f"{sampled - counted:+z.2f}"
        in_gaps = as_kwh(getattr(total, f"{name}_gaps_kwh"), 2)
        rows.append((title, as_kwh(counted, 2), difference, in_gaps))
    if not rows:
        return "No counter could be read."
    table = as_table(("kWh", "counter", "difference", "gaps"), "lrrr", rows)
    return (
        f"{table}\n\nCounter: counted in the measured time. Difference: the samples alone less the "
        "counter. Gaps: counted while nothing was measured; no other figure includes this. Grid "
        "and battery on this page agree with their counters, unless these count something else; "
        "the car's energy comes from samples."
    )


def _breakdown(summary: Summary) -> str:
    flows = ("pv", "house", "car", "car_from_solar", "import", "export")
    bars = by_bar(summary.period, summary.days)
    rows = [
        (
            name,
            *(as_kwh(getattr(one, f"{flow}_kwh")) for flow in flows),
            UNKNOWN if one.saved is None else f"{one.saved:,.2f}",
            as_duration(one.unmeasured_s),
        )
        for name, one in bars.items()
    ]
    names = ("", "PV", "house", "car", "car from solar", "import", "export")
    saved = f"saved {summary.currency}" if summary.currency else "saved"
    return as_table((*names, saved, "no data"), "lrrrrrrrr", rows)


def _cloud_calls(summary: Summary) -> str:
    rows = [(endpoint, f"{calls:,}") for endpoint, calls in summary.cloud_calls.items()]
    return as_table(("", summary.period.kind), "lr", rows)


def _gap_list(detail: DayDetail, summary: Summary) -> list[str]:
    """The longest times without measurements."""
    zone = summary.period.zone
    notable = [gap for gap in detail.gaps if gap[1] - gap[0] >= _NOTABLE_GAP]
    if not notable:
        return []
    longest = sorted(notable, key=lambda gap: gap[0] - gap[1])[:_MAX_GAPS]
    rows = [
        (
            f"{since.astimezone(zone):%H:%M:%S}",
            f"{until.astimezone(zone):%H:%M:%S}",
            as_duration((until - since).total_seconds()),
        )
        for since, until in sorted(longest)
    ]
    note = f"Gaps longer than {MAX_STEP_INTERVALS} intervals are left out of all figures."
    if len(notable) > _MAX_GAPS:
        note += f" These are the {_MAX_GAPS} longest of {len(notable)}."
    return ["## Gaps", as_table(("from", "to", "length"), "rrr", rows), note]


def _pct(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.0f} %"


def _money(amount: float | None, currency: str | None) -> str:
    return UNKNOWN if amount is None else f"{amount:z,.2f} {currency or ''}".rstrip()
