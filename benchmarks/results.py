"""A run: the machine and its tables, as one JSON document that can be read again. So tables
and charts can be drawn anew without measuring.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import Refused, tables, targets
from .machine import Machine
from .tables import Table


@dataclass(frozen=True)
class Results:
    """What was measured, and on what."""

    machine: Machine
    setups: Mapping[str, str]  # how each contender was set up, in words
    tables: Sequence[Table]

    def verdicts(self) -> list[targets.Verdict]:
        """The targets of the suites that were run."""
        return targets.verdicts(self.tables)

    def json(self) -> str:
        """The document. Times are nanoseconds, sizes bytes, rates per second."""
        told: dict[str, Any] = {
            "machine": asdict(self.machine),
            "contenders": dict(self.setups),
            "tables": [tables.document(table) for table in self.tables],
            "targets": targets.document(self.verdicts()),
        }
        return json.dumps(told, indent=1, ensure_ascii=False)


def parse(text: str) -> Results:
    """The run of which `Results.json` gave `text`.

    :raises ValueError, KeyError, TypeError: when it is something else
    """
    told = json.loads(text)
    return Results(
        Machine(**told["machine"]),
        told["contenders"],
        [tables.read(table) for table in told["tables"]],
    )


def read(path: Path) -> Results:
    """The run in the file at `path`.

    :raises Refused: when the file is not there, or is another
    """
    try:
        return parse(path.read_text("utf-8"))
    except OSError as error:
        raise Refused(str(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is not a document of a run: {error!r}") from error
