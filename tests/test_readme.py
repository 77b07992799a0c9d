"""The README says what the models say."""

from __future__ import annotations

from collections.abc import Iterator

from annotated_types import Ge, Le
from prefect.blocks.core import Block
from pydantic.fields import FieldInfo

from easee_load_balancer.orchestration.blocks import ChargingPolicy, HuaweiInverter, Tariff
from tests.support.paths import PROJECT

README = PROJECT / "README.md"


def settings_table() -> str:
    """Every setting that an owner may want to change, as a markdown table."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| block | setting | default | range | what it does |"
    yield "|---|---|---|---|---|"
    blocks: tuple[type[Block], ...] = (ChargingPolicy, HuaweiInverter, Tariff)
    for block in blocks:
        for field in block.model_fields.values():
            cells = (block.get_block_type_name(), field.title, _default(field), _range(field))
            yield f"| {' | '.join(map(str, cells))} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required() or field.default_factory is not None:
        return ""
    return "" if field.default is None else str(field.default)


def _range(field: FieldInfo) -> str:
    lowest = next((one.ge for one in field.metadata if isinstance(one, Ge)), None)
    highest = next((one.le for one in field.metadata if isinstance(one, Le)), None)
    return "" if lowest is None and highest is None else f"{lowest} to {highest}"


def test_the_table_of_settings_is_that_of_the_models() -> None:
    table = settings_table()
    assert table in README.read_text(), f"put this into the README:\n\n{table}"
