"""The server's settings: one TOML file, checked; everything has a default."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from coldaisle.core.detect import default_rules
from coldaisle.core.errors import ConfigError, StoreError
from coldaisle.core.events.types import DetectorConfigured, LimitRule, PoliciesConfigured, Policy
from coldaisle.core.store.retention import require_removable
from coldaisle.server.kurrent.settings import KurrentSettings


class PolicySettings(Policy, frozen=True, forbid_unknown_fields=True):
    """``[[policies]]``: a policy, as the event that puts it in force has it."""


class LimitSettings(LimitRule, frozen=True, forbid_unknown_fields=True):
    """``[[detect.limits]]``: a limit, as the event that puts it in force has it."""


DAY_SECONDS = 86_400
MAX_AGE_DAYS = 1_000_000
DEFAULT_POLICIES = (
    PolicySettings(
        name="cool-hot-racks",
        kind="limit",
        metric="inlet_temperature_celsius",
        playbook="boost-cooling",
        parameters={"asset": "${asset}"},
        cooldown_seconds=600.0,
    ),
)


class ServeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[serve]``: where the server listens and keeps its data.

    ``store`` is a cluster's URL, or the name of the variable that holds it (``store_env``); without, the
    history is a file in the data folder. ``max_store_bytes`` bounds that file; 0 means as far as the disk
    goes. ``chain_key_file`` empty means ``chain.key`` in the data folder. A store key, from a file or the
    environment, encrypts the file. ``kurrent`` is where the history is served over KurrentDB's protocol.
    """

    listen: str = "127.0.0.1:7443"
    metrics: str = ""
    data_dir: str = "coldaisle-data"
    playbooks_dir: str = ""
    max_store_bytes: int = 0
    store: str = ""
    store_env: str = ""
    store_ca_file: str = ""
    kurrent: str = ""
    chain_key_file: str = ""
    store_key_file: str = ""
    store_key_env: str = ""


class RetentionSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[retention]``: what the running server removes by itself; nothing unless something is named.

    ``max_age_days`` has an age for each category, the part of a stream's name before '-'. What is old goes
    to ``archive_dir`` first, or for good with ``without_archive``. ``deleted_streams`` also removes what
    deletion and truncation hid. ``even_facts`` admits categories of facts and actions, ``plain_archive`` an
    archive of an encrypted store.
    """

    max_age_days: dict[str, Annotated[float, Meta(le=MAX_AGE_DAYS)]] = {}
    archive_dir: str = ""
    without_archive: bool = False
    plain_archive: bool = False
    deleted_streams: bool = False
    even_facts: bool = False
    every_seconds: Annotated[float, Meta(gt=0)] = 3_600.0

    @property
    def is_active(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.max_age_days) or self.deleted_streams

    def ages_seconds(self) -> dict[str, int]:
        """The age of each category."""
        return {category: int(days * DAY_SECONDS) for category, days in self.max_age_days.items()}


class DetectSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``[detect]``: when a condition becomes an alert. Limits in ``[[detect.limits]]`` come on top."""

    raise_count: int = 3
    raise_window: int = 5
    clear_count: int = 3
    novelty_warn_score: float = 0.08
    novelty_page_score: float = 0.111
    entity_warn_factor: float = 1.5
    warmup_seconds: float = 86_400.0
    warmup_samples: int = 30
    ashrae_class: str = "A1"
    seed: int = 1
    stale_seconds: float = 300.0
    learn_after_seconds: float = 86_400.0
    flap_cycles: int = 3
    peer_deviations: float = 8.0
    escalate_related: int = 0
    limits: tuple[LimitSettings, ...] = ()


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    serve: ServeSettings = ServeSettings()
    detect: DetectSettings = DetectSettings()
    policies: tuple[PolicySettings, ...] = DEFAULT_POLICIES
    kurrent: KurrentSettings = KurrentSettings()
    retention: RetentionSettings = RetentionSettings()


def load_settings(path: Path | None) -> Settings:
    """Read and check the file; without one, the defaults. Raises ConfigError that names place and remedy."""
    if path is None:
        return Settings()
    try:
        settings = msgspec.convert(_tables(path), Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; see docs/reference/settings.md") from error
    _check(path, settings)
    return settings


def sections(path: Path) -> frozenset[str]:
    """The top-level tables that the file has. Raises ConfigError."""
    return frozenset(_tables(path))


def _tables(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a readable file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}; correct that line") from error


def detector_event(settings: DetectSettings, versions: dict[str, str]) -> DetectorConfigured:
    """The detector configuration as the event that puts it in force."""
    return DetectorConfigured(
        limits=default_rules() + settings.limits,
        raise_count=settings.raise_count,
        raise_window=settings.raise_window,
        clear_count=settings.clear_count,
        novelty_warn_score=settings.novelty_warn_score,
        novelty_page_score=settings.novelty_page_score,
        entity_warn_factor=settings.entity_warn_factor,
        warmup_seconds=settings.warmup_seconds,
        warmup_samples=settings.warmup_samples,
        assumed_attributes={"ashrae_class": settings.ashrae_class},
        seed=settings.seed,
        stale_seconds=settings.stale_seconds,
        learn_after_seconds=settings.learn_after_seconds,
        flap_cycles=settings.flap_cycles,
        peer_deviations=settings.peer_deviations,
        escalate_related=settings.escalate_related,
        versions=versions,
    )


def policies_event(policies: tuple[PolicySettings, ...]) -> PoliciesConfigured:
    """The policies as the event that puts them in force."""
    return PoliciesConfigured(policies)


def split_address(text: str, key: str) -> tuple[str, int]:
    """``host:port`` in two; raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ConfigError(f"{key} = {text!r} is not host:port; write for example 127.0.0.1:7443")
    return host.strip("[]"), int(port)


def refuse_password(url: str, place: str) -> None:
    """Raises ConfigError when a URL that others can read holds credentials."""
    if "@" in url:
        raise ConfigError(f"{place} holds a password; put the URL in a variable, name it in serve.store_env")


def _check(path: Path, settings: Settings) -> None:
    split_address(settings.serve.listen, f"{path}: serve.listen")
    for key in ("metrics", "kurrent"):
        if address := getattr(settings.serve, key):
            split_address(address, f"{path}: serve.{key}")
    refuse_password(settings.serve.store, f"{path}: serve.store")
    if settings.serve.store_key_file and settings.serve.store_key_env:
        raise ConfigError(f"{path}: serve.store_key_file and store_key_env both name the key; keep one")
    _check_retention(path, settings.retention)
    detect = settings.detect
    if not 1 <= detect.raise_count <= detect.raise_window <= 100:
        raise ConfigError(
            f"{path}: detect.raise_count = {detect.raise_count} and raise_window = {detect.raise_window}: "
            "1 <= raise_count <= raise_window <= 100 must hold"
        )
    if detect.clear_count < 1:
        raise ConfigError(f"{path}: detect.clear_count = {detect.clear_count} must be at least 1")
    if detect.escalate_related < 0 or detect.escalate_related == 1:
        raise ConfigError(
            f"{path}: detect.escalate_related = {detect.escalate_related} must be 0 for never, or at least 2"
        )
    names = [policy.name for policy in settings.policies]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"{path}: policies named twice: {', '.join(sorted(twice))}; rename one")


def _check_retention(path: Path, retention: RetentionSettings) -> None:
    try:
        for category, seconds in retention.ages_seconds().items():
            require_removable(category, seconds, retention.even_facts)
    except StoreError as error:
        raise ConfigError(f"{path}: retention.max_age_days: {error}") from error
    if retention.max_age_days and bool(retention.archive_dir) == retention.without_archive:
        raise ConfigError(
            f"{path}: retention.max_age_days needs either archive_dir, or without_archive = true to lose for "
            "good what is old; set one of them"
        )
