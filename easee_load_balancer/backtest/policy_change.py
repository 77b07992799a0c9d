"""A form with all fields of the policy, each of them optional."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.errors import ConfigurationError, problems

_AnyModel = TypeVar("_AnyModel", bound=BaseModel)
_UNIT = re.compile(r" \((.+)\)$")


def _with_optional(fields_of: type[BaseModel]) -> Callable[[type[_AnyModel]], type[_AnyModel]]:
    """A decorator that gives a model all fields of another one, each of them optional."""

    def decorate(model: type[_AnyModel]) -> type[_AnyModel]:
        """The model with these fields; without a value they are None."""
        fields: dict[str, Any] = {}
        for name, info in fields_of.model_fields.items():
            optional: Any = copy(info)
            optional.default = None
            fields[name] = (optional.annotation | None, optional)
        return create_model(
            model.__name__,
            __base__=model,
            __module__=model.__module__,
            __doc__=model.__doc__,
            **fields,
        )

    return decorate


def _may_stay_empty(schema: dict[str, Any]) -> None:
    """Show inputs that may stay empty instead of a choice between two types."""
    for name, field in schema["properties"].items():
        kinds = [kind for kind in field.pop("anyOf") if kind != {"type": "null"}]
        schema["properties"][name] = field | kinds[0]
        del schema["properties"][name]["default"]


@_with_optional(Policy)
class PolicyChange(BaseModel):
    """What is different from the policy of the site; empty fields stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_may_stay_empty)

    def applied_to(self, policy: Policy) -> Policy:
        """The policy with these changes. Raises ConfigurationError if it is not valid."""
        fields = {name: getattr(policy, name) for name in Policy.model_fields}
        try:
            return Policy.model_validate(fields | self._given)
        except ValidationError as error:
            raise ConfigurationError(
                f"The changed policy is not valid: {problems(error)}."
            ) from None

    def __str__(self) -> str:
        """The changes in words: phases 3, start threshold 30 s at minimum current."""
        return ", ".join(_in_words(name, value) for name, value in self._given.items())

    @property
    def _given(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


def _in_words(name: str, value: object) -> str:
    title = Policy.model_fields[name].title or name
    unit = _UNIT.search(title)
    title = _UNIT.sub("", title)
    return f"{title[0].lower()}{title[1:]} {value}{f' {unit[1]}' if unit else ''}"
