"""Event records as they are read back: JSON lines, each checked for what its readers count on."""

import json
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mura_jobs.errors import InputError

Number = Annotated[float, Field(ge=-1e15, le=1e15)]
Seconds = Annotated[float, Field(ge=0, le=1e10)]

NEEDED = {
    "failed": {"exit_code", "error"},
    "progress": {"work", "done", "total", "unit", "eta_s"},
}
"""What lines of some kinds must say besides."""


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    time: AwareDatetime
    event: str
    instance: str
    attempt: Annotated[int, Field(ge=1, le=10**9)]
    elapsed_s: Seconds
    devices: list[str] = []
    exit_code: int = 0
    error: str = ""
    work: str = ""
    done: Number = 0
    total: Number = 0
    unit: str = ""
    eta_s: Seconds | None = None

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        missing = NEEDED.get(self.event, set()) - self.model_fields_set
        if missing:
            raise ValueError(f"{self.event} without {', '.join(sorted(missing))}")
        return self


def parse_lines(data: bytes, where: str) -> list[dict[str, Any]]:
    """The lines of an event record.

    Raises:
        InputError: naming the first line that is none.
    """
    lines = data.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            _Line.model_validate_json(line)
        except ValidationError as error:
            reason = error.errors()[0]
            place = ".".join(map(str, reason["loc"])) or "line"
            raise InputError(f"{where}, line {number}: not an event ({place}: {reason['msg']})") from None
    return [json.loads(line) for line in lines]
