"""The Prefect variable that prefect.yaml takes the owner's time zone from."""

TIME_ZONE = "easee_balancer_time_zone"
"""An IANA name: when days begin and prices change."""
