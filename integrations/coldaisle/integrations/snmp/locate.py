"""From the name of a metric to the object behind it."""

from collections.abc import Iterable

from msgspec import Struct

from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.decode import columns_of
from coldaisle.integrations.snmp.errors import ProfileError
from coldaisle.integrations.snmp.naming import index_text, metric_name, row_names
from coldaisle.integrations.snmp.profile import Metric, Profile, TableProfile
from coldaisle.integrations.snmp.tags import TYPE_TAGS
from coldaisle.integrations.snmp.target import Target


class Place(Struct, frozen=True):
    """Where a metric is read and written: OIDs of instances, and what translates its value."""

    metric: Metric
    read_oid: str
    write_oid: str

    @property
    def tag(self) -> int:
        """The wire type."""
        return TYPE_TAGS[self.metric.type]

    def wire(self, value: float) -> int:
        """A recorded value as the device takes it. Raises ProfileError when no wire value means it."""
        if self.metric.states:
            return self._state(value)
        wire = value / self.metric.scale
        if abs(wire - round(wire)) > 1e-6:
            raise ProfileError(f"{self.metric.metric} goes in steps of {self.metric.scale}, not to {value}")
        return round(wire)

    def _state(self, value: float) -> int:
        for state in self.metric.states:
            if state.value == value:
                return state.wire if state.command is None else state.command
        known = ", ".join(f"{state.value:g} {state.name}" for state in self.metric.states)
        raise ProfileError(f"{self.metric.metric} has no state {value}, known: {known}")


async def locate(client: SnmpClient, target: Target, profile: Profile, name: str) -> Place:
    """The place of a metric by its full name; reads the naming columns of its table where there are some.

    Raises ProfileError when the profile or the device has no such metric, SnmpError when it is silent.
    """
    for metric in profile.objects:
        if metric.metric == name:
            return Place(metric, metric.oid, metric.write_oid or metric.oid)
    for table, metric in _columns(profile, name.partition("{")[0]):
        index = await _index(client, target, table, metric, name)
        if index:
            return Place(metric, f"{metric.oid}.{index}", f"{metric.write_oid or metric.oid}.{index}")
    raise ProfileError(f"profile {profile.name} of {target!r} has no {name}")


def _columns(profile: Profile, bare: str) -> Iterable[tuple[TableProfile, Metric]]:
    return ((table, metric) for table in profile.tables for metric in table.metrics if metric.metric == bare)


async def _index(client: SnmpClient, target: Target, table: TableProfile, metric: Metric, name: str) -> str:
    columns = tuple(oid for oid in (*table.naming, table.key_column) if oid) or (metric.oid,)
    rows = columns_of(columns, await client.walk_table(target, columns))
    names = row_names(table, rows) or {index: index_text(index) for index in rows[columns[0]]}
    fitting = (index for index, row in names.items() if metric_name(table, metric, row) == name)
    return next((index_text(index) for index in fitting), "")
