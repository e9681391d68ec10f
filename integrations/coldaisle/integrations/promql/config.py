"""Settings of one Prometheus-compatible server and what to ask it."""

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=128)]


class PromqlQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """One query: its values are recorded as ``metric`` of ``asset``.

    With ``asset_label``, the value of that label names the asset of each series instead.
    """

    metric: Name
    query: Annotated[str, Meta(min_length=1)]
    asset: str = ""
    asset_label: str = ""

    def __post_init__(self) -> None:
        if bool(self.asset) == bool(self.asset_label):
            raise ValueError("state exactly one of asset and asset_label")


class PromqlConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``[[prometheus]]``: a server; ``name`` is its asset in the twin."""

    name: Name
    url: Annotated[str, Meta(pattern="^https?://")]
    queries: tuple[PromqlQuery, ...]
    poll_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    timeout_seconds: Annotated[float, Meta(gt=0, le=600)] = 10.0
    max_series: Annotated[int, Meta(ge=1, le=100_000)] = 5000
