"""Colours of all charts: dark as the Prefect UI, and legible on a phone."""

BACKGROUND, INK, FAINT = "#12161f", "#e6e9f0", "#39414f"
SOLAR, HOUSE, GRID, BATTERY = "#f6c445", "#8b96aa", "#ef6b5b", "#9d8cf5"
CAR, EXPORT, SETPOINT = "#46c487", "#4aa8e0", "#ffffff"
