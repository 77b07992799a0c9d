"""The style of all charts: dark as the Prefect UI, and legible on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, HourLocator, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from easee_load_balancer.reports.colours import BACKGROUND, FAINT, INK

WIDTH_IN = 6.2
STYLE: dict[Any, Any] = {
    "figure.facecolor": BACKGROUND,
    "axes.facecolor": BACKGROUND,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 14,
    "axes.titlecolor": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 14,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "hatch.color": FAINT,
}


def head(panel: Axes, title: str, columns: int) -> None:
    """Put the title on the left and the legend on the right, both above the panel."""
    panel.set_title(title)
    panel.set_axisbelow(True)
    panel.margins(x=0)
    panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if columns:
        panel.legend(
            loc="lower right",
            bbox_to_anchor=(1.01, 0.99),
            ncols=columns,
            handlelength=1.0,
            handletextpad=0.4,
            columnspacing=1.0,
            borderaxespad=0.0,
        )


def hours_axis(panel: Axes, start: datetime, end: datetime, zone: ZoneInfo) -> None:
    """Put the hours of a local day below the panel."""
    panel.set_xlim(*date2num([start, end]))
    panel.xaxis.set_major_locator(HourLocator(byhour=range(0, 24, 3), tz=zone))
    panel.xaxis.set_major_formatter(DateFormatter("%H", tz=zone))
    panel.set_xlabel("hour of the day")


def bars_axis(panel: Axes, names: Sequence[str]) -> None:
    """Name the bars below the panel, as many of them as fit."""
    shown = range(0, len(names), max(1, len(names) // 12 + (len(names) > 12)))
    panel.set_xticks(list(shown), [names[index] for index in shown])


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=150, pil_kwargs={"optimize": True})
    return picture.getvalue()
