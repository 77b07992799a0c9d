"""The style of all charts: dark as the Prefect UI, and legible on a phone."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BACKGROUND, INK, FAINT = "#12161f", "#e6e9f0", "#39414f"
SOLAR, HOUSE, GRID, BATTERY = "#f6c445", "#8b96aa", "#ef6b5b", "#9d8cf5"
CAR, EXPORT, SETPOINT = "#46c487", "#4aa8e0", "#ffffff"
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


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=150, pil_kwargs={"optimize": True})
    return picture.getvalue()
