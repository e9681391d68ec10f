"""Reads profiles: those that come with Coldaisle, and those of a site's own folder."""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import msgspec

from coldaisle.integrations.snmp.errors import InvalidOid, ProfileError
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.profile import Metric, Profile, extended
from coldaisle.integrations.snmp.tags import TYPE_TAGS
from coldaisle.integrations.snmp.units import CONVERSIONS

MAX_PROFILE_BYTES = 262_144


def load_profile(text: str, place: str) -> Profile:
    """A profile from TOML, not yet extended; ``place`` is for error texts. Raises ProfileError."""
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProfileError(f"{place}: {error}") from error
    for metric in profile.metrics:
        _check(metric, place)
    return profile


@lru_cache(maxsize=1)
def built_in_profiles() -> Mapping[str, Profile]:
    """The profiles that come with Coldaisle, by name."""
    return all_extended(_shipped())


def profiles_in(folder: Path) -> Mapping[str, Profile]:
    """The built-in profiles and, over them, those of a site's own folder. Raises ProfileError."""
    if not folder.is_dir():
        raise ProfileError(f"{folder} is no folder of profiles; correct the path")
    own = [load_profile(_read(path), path.name) for path in sorted(folder.glob("*.toml"))]
    return all_extended({**_shipped(), **{profile.name: profile for profile in own}})


def all_extended(profiles: Mapping[str, Profile]) -> Mapping[str, Profile]:
    """Each profile with what it extends. Raises ProfileError for an unknown parent and for a circle."""
    done: dict[str, Profile] = {}
    for name in profiles:
        _extend(name, profiles, done, ())
    return done


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, Profile]:
    folder = files(__package__).joinpath("profiles")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    profiles = [load_profile(entry.read_text(), entry.name) for entry in found]
    return {profile.name: profile for profile in profiles}


def _extend(
    name: str, profiles: Mapping[str, Profile], done: dict[str, Profile], path: tuple[str, ...]
) -> None:
    if name in done:
        return
    if name in path:
        raise ProfileError(f"profile {name} extends itself: {' -> '.join((*path, name))}; break the circle")
    profile = profiles[name]
    for parent in profile.extends:
        if parent not in profiles:
            raise ProfileError(f"profile {name} extends {parent!r}, known: {', '.join(sorted(profiles))}")
        _extend(parent, profiles, done, (*path, name))
    done[name] = extended(profile, [done[parent] for parent in profile.extends])


def _check(metric: Metric, place: str) -> None:
    where = f"{place}: {metric.metric}"
    for oid in (metric.oid, metric.fallback_oid, metric.write_oid, *metric.aside):
        try:
            encode_oid(oid)
        except InvalidOid as error:
            raise ProfileError(f"{where}: {error}") from error
    if metric.type not in TYPE_TAGS:
        raise ProfileError(f"{where} has the unknown type {metric.type!r}")
    if not metric.source or metric.scale == 0:
        raise ProfileError(f"{where} needs a source and a scale other than 0")
    if metric.unit and metric.unit not in CONVERSIONS:
        raise ProfileError(f"{where} has the unknown unit {metric.unit!r}, known: {', '.join(CONVERSIONS)}")
    if bool(metric.where) != bool(metric.where_column):
        raise ProfileError(f"{where} needs both where and where_column, or neither")
    if metric.writable and (metric.aside or metric.unit or metric.index_ends):
        raise ProfileError(f"{where} is writable, so its scale and rows must not depend on other columns")


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_PROFILE_BYTES:
        raise ProfileError(f"{path} is over {MAX_PROFILE_BYTES} bytes")
    return path.read_text()
