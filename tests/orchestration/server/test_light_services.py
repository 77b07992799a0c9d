"""The background services apart from the API servers."""

from __future__ import annotations

from prefect.settings import get_current_settings

from easee_load_balancer.orchestration.server import light_services


def test_api_servers_do_not_take_and_drop_the_services_work() -> None:
    assert get_current_settings().server.docket.name != light_services._DOCKET
