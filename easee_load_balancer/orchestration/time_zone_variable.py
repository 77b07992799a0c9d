"""The Prefect variables that deployments take the owner's time zone from."""

from easee_load_balancer.orchestration.own_addresses import HOME

TIME_ZONE = "easee_balancer_time_zone"
"""An IANA name: when days begin and prices change."""


def zone_variable(site: str) -> str:
    """The variable with a site's time zone; a further site without one has that of home."""
    return TIME_ZONE if site == HOME else f"{TIME_ZONE}_{site.replace('-', '_')}"
