"""Device profiles: which objects a class of device has, and what they mean.

A profile is a TOML file in ``profiles/``. Each entry cites its ``source``. Numbers on the wire become
``wire * scale``, times what the columns beside them say; a sentinel becomes None, and so does a value
outside the sanity range; where ``states`` are given, they translate. Metric names follow Prometheus, unit
last; rows of a table add a label. A profile that ``extends`` others has all that they have.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property

from msgspec import Struct, structs

from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.units import range_of

GENERIC = "generic"


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """One value of an enumeration: what the wire says, what is recorded, what people call it.

    ``command`` is what brings the state about, where the device's commands count otherwise than its states.
    """

    wire: int
    value: float
    name: str
    command: int | None = None


class Metric(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One object, or one column of a table.

    ``oid`` is an instance in ``objects`` and a column in a table; ``fallback_oid`` is read where it is
    absent. ``key`` selects the one row whose key column holds this OID, ``index_ends`` the rows whose index
    ends so (the label is what precedes), ``where`` the rows in which ``where_column`` has one of these
    values. A ``where_column`` that ends in ``.0`` is an object of the whole device. ``type`` is the wire
    type. A writable metric is set at ``write_oid``, or at ``oid`` when that is empty.

    Scale: ``scale`` always; ``precision_column`` counts decimal digits, ``si_column`` is SensorDataScale of
    RFC 3433 (9 is 1), ``factor_column`` multiplies, or divides where it is negative, ``divisor_column``
    divides. ``unit`` is what the wire speaks when that is not the unit in the metric's name: ``fahrenheit``.

    Sanity: a value below ``low`` or above ``high`` is no value; without them, the range of the unit holds.

    A counter with ``rate`` also gives a metric of that name, per second; it may not exceed the row's
    ``rate_limit`` metric times ``rate_limit_scale``.
    """

    oid: str
    metric: str
    source: str
    type: str = "integer"
    scale: float = 1.0
    sentinels: tuple[int, ...] | None = None
    states: tuple[State, ...] = ()
    key: str = ""
    index_ends: str = ""
    where_column: str = ""
    where: tuple[int | str, ...] = ()
    fallback_oid: str = ""
    precision_column: str = ""
    si_column: str = ""
    factor_column: str = ""
    divisor_column: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    writable: bool = False
    write_oid: str = ""
    rate: str = ""
    rate_limit: str = ""
    rate_limit_scale: float = 1.0

    @cached_property
    def bounds(self) -> tuple[float, float] | None:
        """The sanity range in force; None for states and counts without one."""
        low, high = range_of(self.metric) or (float("-inf"), float("inf"))
        found = (low if self.low is None else self.low, high if self.high is None else self.high)
        return None if found == (float("-inf"), float("inf")) else found

    @cached_property
    def aside(self) -> tuple[str, ...]:
        """What is read beside the value to understand it."""
        return tuple(oid for oid in (self.where_column, *self.scaling) if oid)

    @cached_property
    def scaling(self) -> tuple[str, ...]:
        """The columns that scale the value."""
        columns = (self.precision_column, self.si_column, self.factor_column, self.divisor_column)
        return tuple(oid for oid in columns if oid)


class TableProfile(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Columns that share their rows.

    Rows are told apart by ``label``, whose value is the text in ``label_column``, else the row's index;
    without a label, by the ``key`` of each metric, found in ``key_column``. A row whose text is empty or
    not its own takes that of the first of ``label_fallbacks`` that is, then the ``mac_column``, then its
    index; one that no column names is left out, or goes by its index where ``unnamed`` rows count.
    ``discontinuity_column`` says when the counters of a row began anew. ``tracked`` rows are things
    with an identity of their own: that one has another index is recorded.
    """

    metrics: tuple[Metric, ...]
    label: str = ""
    label_column: str = ""
    label_fallbacks: tuple[str, ...] = ()
    mac_column: str = ""
    key_column: str = ""
    discontinuity_column: str = ""
    tracked: bool = False
    unnamed: bool = False

    @cached_property
    def naming(self) -> tuple[str, ...]:
        """The columns that may name a row, the best first."""
        return tuple(oid for oid in (self.label_column, *self.label_fallbacks, self.mac_column) if oid)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The OIDs of all columns to read, those that name the rows first."""
        naming = [oid for oid in (*self.naming, self.key_column, self.discontinuity_column) if oid]
        read = [oid for metric in self.metrics for oid in (metric.oid, metric.fallback_oid, *metric.aside)]
        return tuple(dict.fromkeys([*naming, *(oid for oid in read if oid and not oid.endswith(".0"))]))


class Relation(Struct, frozen=True, forbid_unknown_fields=True):
    """What must hold between metrics: the product of ``terms``, summed, over ``total`` is within bounds.

    Where ``total`` has a label, per label; else the products of all labels are summed. ``source`` says why
    the bounds are what they are.
    """

    terms: tuple[str, ...]
    total: str
    source: str
    low: float = 0.7
    high: float = 1.3


class Profile(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A class of device; ``match`` are prefixes of its sysObjectID, ``sentinels`` mean "not available"."""

    name: str
    kind: str
    extends: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    sentinels: tuple[int, ...] = ()
    objects: tuple[Metric, ...] = ()
    tables: tuple[TableProfile, ...] = ()
    relations: tuple[Relation, ...] = ()

    def sentinels_of(self, metric: Metric) -> tuple[int, ...]:
        """The sentinels in force for one of its metrics."""
        return self.sentinels if metric.sentinels is None else metric.sentinels

    @cached_property
    def object_oids(self) -> tuple[str, ...]:
        """All single objects to read, each once."""
        own = [oid for metric in self.objects for oid in (metric.oid, metric.fallback_oid, *metric.aside)]
        whole = [oid for table in self.tables for metric in table.metrics for oid in metric.aside]
        return tuple(dict.fromkeys([*filter(None, own), *(oid for oid in whole if oid.endswith(".0"))]))

    @property
    def metrics(self) -> Iterable[Metric]:
        """All entries, of objects and tables."""
        yield from self.objects
        for table in self.tables:
            yield from table.metrics


def extended(profile: Profile, parents: Iterable[Profile]) -> Profile:
    """The profile with all that its (already extended) parents have; its own entries go first and win."""
    for parent in parents:
        named = {metric.metric for metric in profile.metrics}
        profile = structs.replace(
            profile,
            objects=(*profile.objects, *_others(parent, parent.objects, named)),
            tables=(*profile.tables, *_other_tables(parent, named)),
            relations=tuple(dict.fromkeys([*profile.relations, *parent.relations])),
        )
    return profile


def profile_for(object_id: bytes, profiles: Mapping[str, Profile]) -> Profile:
    """The profile with the longest prefix of a sysObjectID (content octets); ``generic`` without."""
    fitting = [
        (len(raw), profile)
        for profile in profiles.values()
        for raw in map(encode_oid, profile.match)
        if object_id.startswith(raw)
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else profiles[GENERIC]


def _others(parent: Profile, metrics: Iterable[Metric], named: set[str]) -> tuple[Metric, ...]:
    """A parent's entries that the child does not have, with the parent's sentinels."""
    return tuple(
        structs.replace(metric, sentinels=parent.sentinels_of(metric))
        for metric in metrics
        if metric.metric not in named
    )


def _other_tables(parent: Profile, named: set[str]) -> tuple[TableProfile, ...]:
    tables = (
        structs.replace(table, metrics=_others(parent, table.metrics, named)) for table in parent.tables
    )
    return tuple(table for table in tables if table.metrics)
