"""Device profiles: which objects a class of device has, and what they mean.

A profile is a TOML file in ``profiles/``. Each entry cites its ``source``. Numbers on the wire become
``wire * scale``; a sentinel becomes None; where ``states`` are given, they translate. Metric names follow
Prometheus, unit last; rows of a table add a label.
"""

import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from coldaisle.integrations.snmp.errors import ProfileError
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.tags import TYPE_TAGS

MAX_PROFILE_BYTES = 262_144
GENERIC = "generic"


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """One value of an enumeration: what the wire says, what is recorded, what people call it.

    ``command`` is what brings the state about, where the device's commands count otherwise than its states.
    """

    wire: int
    value: float
    name: str
    command: int | None = None


class Metric(Struct, frozen=True, forbid_unknown_fields=True):
    """One object, or one column of a table.

    ``oid`` is an instance in ``objects`` and a column in a table. ``key`` selects the one row whose key
    column holds this OID. ``type`` is the wire type. A writable metric is set at ``write_oid``, or at
    ``oid`` when that is empty.
    """

    oid: str
    metric: str
    source: str
    type: str = "integer"
    scale: float = 1.0
    sentinels: tuple[int, ...] | None = None
    states: tuple[State, ...] = ()
    key: str = ""
    writable: bool = False
    write_oid: str = ""


class TableProfile(Struct, frozen=True, forbid_unknown_fields=True):
    """Columns that share their rows.

    Rows are told apart by ``label``, whose value is the text in ``label_column``, else the row's index;
    without a label, by the ``key`` of each metric, found in ``key_column``.
    """

    metrics: tuple[Metric, ...]
    label: str = ""
    label_column: str = ""
    key_column: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The OIDs of all columns to read, those that name the rows first."""
        naming = [oid for oid in (self.label_column, self.key_column) if oid]
        return tuple(dict.fromkeys([*naming, *(metric.oid for metric in self.metrics)]))


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """A class of device; ``match`` are prefixes of its sysObjectID, ``sentinels`` mean "not available"."""

    name: str
    kind: str
    match: tuple[str, ...] = ()
    sentinels: tuple[int, ...] = ()
    objects: tuple[Metric, ...] = ()
    tables: tuple[TableProfile, ...] = ()

    def sentinels_of(self, metric: Metric) -> tuple[int, ...]:
        """The sentinels in force for one of its metrics."""
        return self.sentinels if metric.sentinels is None else metric.sentinels


def load_profile(text: str, place: str) -> Profile:
    """A profile from TOML; ``place`` is for error texts. Raises ProfileError."""
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProfileError(f"{place}: {error}") from error
    for metric in _metrics(profile):
        _check(metric, place)
    return profile


@lru_cache(maxsize=1)
def built_in_profiles() -> Mapping[str, Profile]:
    """The profiles that come with Coldaisle, by name."""
    found = [
        entry for entry in files(__package__).joinpath("profiles").iterdir() if entry.name.endswith("toml")
    ]
    profiles = [load_profile(entry.read_text(), entry.name) for entry in found]
    return {profile.name: profile for profile in profiles}


def profiles_in(folder: Path) -> Mapping[str, Profile]:
    """The built-in profiles and, over them, those of a site's own folder. Raises ProfileError."""
    own = [load_profile(_read(path), path.name) for path in sorted(folder.glob("*.toml"))]
    return {**built_in_profiles(), **{profile.name: profile for profile in own}}


def profile_for(object_id: bytes, profiles: Mapping[str, Profile]) -> Profile:
    """The profile with the longest prefix of a sysObjectID (content octets); ``generic`` without."""
    fitting = [
        (len(raw), profile)
        for profile in profiles.values()
        for raw in map(encode_oid, profile.match)
        if object_id.startswith(raw)
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else profiles[GENERIC]


def _metrics(profile: Profile) -> Iterable[Metric]:
    yield from profile.objects
    for table in profile.tables:
        yield from table.metrics


def _check(metric: Metric, place: str) -> None:
    encode_oid(metric.oid)
    if metric.type not in TYPE_TAGS:
        raise ProfileError(f"{place}: {metric.metric} has the unknown type {metric.type!r}")
    if not metric.source or metric.scale == 0:
        raise ProfileError(f"{place}: {metric.metric} needs a source and a scale other than 0")


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_PROFILE_BYTES:
        raise ProfileError(f"{path} is over {MAX_PROFILE_BYTES} bytes")
    return path.read_text()
