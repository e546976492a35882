"""What the fields of a scenario are made of: units as people write them, and mappings whose fields
are all known. It knows no scenario."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from fleet import quantities
from fleet.scenario_text import unknown_name


def _policy(written: Any) -> Any:
    return {"recipe": written} if isinstance(written, str) else written


def _start_s(written: Any) -> float:
    return 0.0 if written == 0 else quantities.duration_s(written)


Size = Annotated[int, BeforeValidator(quantities.size_bytes)]
Duration = Annotated[float, BeforeValidator(quantities.duration_s)]
Bandwidth = Annotated[float, BeforeValidator(quantities.bandwidth_bytes_per_s)]
Number = Annotated[float, BeforeValidator(quantities.number)]
Factor = Annotated[Number, Field(gt=0)]
Price = Annotated[Number, Field(ge=0)]
Start = Annotated[float, BeforeValidator(_start_s)]
Count = Annotated[int, Field(strict=True, ge=1)]
Whole0 = Annotated[int, Field(strict=True, ge=0)]
Text = Annotated[str, Field(min_length=1)]
Policy = Annotated[dict[str, Any], BeforeValidator(_policy)]
Spread: TypeAlias = Literal["all", "none", "round_robin", "popular"]


class Fields(BaseModel):
    """A mapping whose fields are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, raw: Any) -> Any:
        """Before pydantic's own check, so that a near miss can be named."""
        for name in raw if isinstance(raw, Mapping) else ():
            if name not in cls.model_fields:
                what = unknown_name(str(name), cls.model_fields)
                raise PydanticCustomError(
                    "unknown_field",
                    "unknown field {field}; {what}",
                    {"field": repr(name), "what": what, "name": name},
                )
        return raw


def one_of(fields: Fields, *names: str) -> None:
    """Raise ValueError where two or more of these fields are given."""
    given = [name for name in names if getattr(fields, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are both given; expected one of them")
