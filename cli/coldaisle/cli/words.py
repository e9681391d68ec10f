"""Times, values and names in words for a person."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

NOTHING = "-"

_AGES = ((86400.0 * 2, 86400.0, "d"), (7200.0, 3600.0, "h"), (120.0, 60.0, "m"))


def time_of(time: Timestamp) -> datetime | None:
    """The moment, or None where it is unset."""
    return time.ToDatetime(UTC) if time.seconds or time.nanos else None


def clock(time: Timestamp) -> str:
    """A moment to the second, UTC."""
    moment = time_of(time)
    return moment.strftime("%Y-%m-%d %H:%M:%SZ") if moment else NOTHING


def age(time: Timestamp, now: datetime) -> str:
    """How long ago, in the largest unit that keeps two digits."""
    moment = time_of(time)
    return span((now - moment).total_seconds()) if moment else NOTHING


def span(seconds: float) -> str:
    """A duration: ``45s``, ``12m``, ``5h``, ``3d``."""
    for least, unit, letter in _AGES:
        if seconds >= least:
            return f"{seconds / unit:.0f}{letter}"
    return f"{max(seconds, 0.0):.0f}s"


def number(value: float) -> str:
    """A value without noise: at most four significant digits after the point matter to nobody."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value)}"
    return f"{value:.2f}" if abs(value) < 1e4 else f"{value:.0f}"


def short(name: str) -> str:
    """The id in a resource name: ``rack-a01`` of ``assets/rack-a01``."""
    return name.rpartition("/")[2]


def named(collection: str, name: str) -> str:
    """The resource name, whichever form was typed."""
    return name if name.startswith(f"{collection}/") else f"{collection}/{name}"


def enum_word(name: str) -> str:
    """``SEVERITY_PAGE`` as ``page``."""
    return name.partition("_")[2].lower()


def json_object(text: str) -> dict[str, object]:
    """A JSON object, or nothing where the text is none."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def pairs(values: Mapping[str, object]) -> str:
    """``a=1 b=two``, in the given order."""
    return " ".join(f"{key}={value_text(value)}" for key, value in values.items())


def value_text(value: object) -> str:
    """A JSON value on one line."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        bare = value and not any(each.isspace() for each in value)
        return value if bare else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
