"""Parts of the controller state that are stored with every cycle, although mostly at rest."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Sparse(BaseModel):
    """A model that stores only what differs from the defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_serializer(mode="wrap")
    def _only_what_differs(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        stored: dict[str, Any] = serialize(self)
        return {
            name: value
            for name, value in stored.items()
            if getattr(self, name) != fields[name].default
        }
