"""Types of the flows' parameters, with what Prefect's form shows for them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from easee_load_balancer.orchestration.own_addresses import SITE_PATTERN


def shown(title: str, *examples: Any, **bounds: Any) -> Any:
    """Title, examples and bounds of a parameter; Prefect takes its description from the docstring.

    Prefect titles a parameter with its Python name unless the schema's extras say otherwise.
    """
    extras: dict[str, Any] = {"title": title}
    if examples:
        extras["examples"] = list(examples)
    return Field(json_schema_extra=extras, **bounds)


class _MayStayEmpty:
    """Shows an input that may stay empty, instead of a choice between two types."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        both = handler(schema)
        [kind] = [one for one in both.pop("anyOf") if one != {"type": "null"}]
        one_input: JsonSchemaValue = both | kind
        return one_input


MAY_STAY_EMPTY = _MayStayEmpty()

SiteName = Annotated[
    str, shown("Site", "home", "cabin", pattern=SITE_PATTERN, min_length=1, max_length=60)
]
TimeZone = Annotated[str, shown("Time zone", "Europe/Stockholm", "Europe/Berlin")]
ChargerName = Annotated[str, shown("Charger", "Garage", max_length=40)]
FirstDay = Annotated[date | None, MAY_STAY_EMPTY, shown("First day", "2026-06-21")]
LastDay = Annotated[date | None, MAY_STAY_EMPTY, shown("Last day", "2026-06-27")]
