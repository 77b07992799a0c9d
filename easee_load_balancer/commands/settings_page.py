"""The page of all settings, made from the models.

python -m easee_load_balancer.commands.settings_page          writes docs/settings.md
python -m easee_load_balancer.commands.settings_page --check  fails if that page is not current
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from annotated_types import Ge, Gt, Le
from prefect.flows import load_flow_from_entrypoint
from pydantic.fields import FieldInfo

from easee_load_balancer.orchestration.blocks import BLOCKS
from easee_load_balancer.system.settings import Settings

PAGE = Path("docs/settings.md")
_HEAD = "setting | default | range | what it does"


def settings_page() -> str:
    """Blocks, parameters of the deployments and environment variables, as markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Generated from the code by `python -m easee_load_balancer.commands.settings_page`."
    yield ""
    yield "## Blocks"
    yield ""
    yield "In the Prefect UI under **Blocks**. Changes take effect with the next cycle."
    for block in BLOCKS:
        fields = block.model_fields.values()
        rows = [(one.title, _default(one), _range(one), one.description) for one in fields]
        yield from _table(block.get_block_type_name(), _HEAD, rows)
    yield ""
    yield "## Parameters of the deployments"
    yield ""
    yield "In the form under **Deployments** > **Run**, or for all runs in `prefect.yaml`."
    for deployment in yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]:
        flow: Any = load_flow_from_entrypoint(deployment["entrypoint"])
        given: Mapping[str, Any] = deployment["parameters"]
        parameters = [
            (f"{one['title']} (`{name}`)", _given(given, name, one), one.get("description"))
            for name, one in flow.parameters.properties.items()
        ]
        yield from _table(deployment["name"], "parameter | default | what it does", parameters)
    yield ""
    yield "## Environment variables"
    variables = [
        (f"`EASEE_BALANCER_{name.upper()}`", _default(one), one.description)
        for name, one in Settings.model_fields.items()
    ]
    yield from _table("", "variable | default | what it does", variables)


def _table(title: str, head: str, rows: Iterable[Iterable[object]]) -> Iterator[str]:
    if title:
        yield from ("", f"### {title}")
    yield from ("", f"| {head} |", "|---" * (head.count("|") + 1) + "|")
    for row in rows:
        cells = ("" if cell in (None, (), {}) else " ".join(str(cell).split()) for cell in row)
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _given(parameters: Mapping[str, Any], name: str, schema: Mapping[str, Any]) -> object:
    """What the deployment gives to a parameter, else its default."""
    value = parameters.get(name, schema.get("default"))
    return "as in setup" if isinstance(value, str) and "prefect.variables" in value else value


def _default(field: FieldInfo) -> object:
    return None if field.is_required() or field.default_factory else field.default


def _range(field: FieldInfo) -> str:
    lowest = highest = ""
    for one in field.metadata:
        if isinstance(one, Ge):
            lowest = f"{one.ge:g}"
        elif isinstance(one, Gt):
            lowest = f"above {one.gt:g}"
        elif isinstance(one, Le):
            highest = f"{one.le:g}"
    if highest:
        return f"{lowest} to {highest}"
    return f"{lowest} or more" if lowest else ""


def main() -> None:
    """Write the page, or check it."""
    page = settings_page()
    if "--check" not in sys.argv:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page)
    elif not PAGE.is_file() or PAGE.read_text() != page:
        sys.exit(f"{PAGE} is not current: run `python -m {__spec__.name}`.")


if __name__ == "__main__":
    main()
