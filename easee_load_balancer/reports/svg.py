"""The frame of the small pictures that are drawn without matplotlib."""

from __future__ import annotations

from collections.abc import Iterable

from easee_load_balancer.reports.colours import BACKGROUND, INK


def svg(width: int, height: int, parts: Iterable[str]) -> bytes:
    """The parts on a background that suits light and dark pages."""
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="sans-serif" font-size="17" fill="{INK}">',
            f'<rect width="{width}" height="{height}" rx="6" fill="{BACKGROUND}"/>',
            *parts,
            "</svg>",
        ]
    ).encode()
