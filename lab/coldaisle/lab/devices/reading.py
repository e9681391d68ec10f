"""A device's rows read through its profile, as a poll over the network reads them."""

from collections.abc import Mapping
from copy import copy

from coldaisle.integrations.snmp.ber import Varbind
from coldaisle.integrations.snmp.channel import Moment
from coldaisle.integrations.snmp.decode import Columns, Decoded, Readings, decode_objects, decode_table
from coldaisle.integrations.snmp.oid import encode_oid
from coldaisle.integrations.snmp.poll import LIFE_OIDS, SYS_OBJECT_ID, Round
from coldaisle.integrations.snmp.profile import TableProfile, profile_for
from coldaisle.integrations.snmp.profile_files import built_in_profiles
from coldaisle.integrations.snmp.rates import Rates
from coldaisle.integrations.snmp.tags import OBJECT_IDENTIFIER
from coldaisle.lab.devices.rows import Cell, Rows


class SnmpReader:
    """Reads one device; `rows` are all that it has, at any moment, so that its profile is known."""

    def __init__(self, rows: Rows) -> None:
        self._rows = dict(rows)
        self._profile = profile_for(encode_oid(str(rows[SYS_OBJECT_ID][1])), built_in_profiles())
        wanted = dict.fromkeys((*LIFE_OIDS, *self._profile.object_oids))
        self._objects = [oid for oid in wanted if oid in rows]
        self._tables = [(table, _places(table, rows)) for table in self._profile.tables]
        self._rates = Rates()

    def fork(self) -> "SnmpReader":
        """Return another reader of the same device at this moment; the two go on apart."""
        other = copy(self)
        other._rows, other._rates = dict(self._rows), copy(self._rates)
        return other

    def read(self, changing: Rows, time: int) -> Readings:
        """Return what a poll at `time` (UTC ns) brings when these rows have changed."""
        rows, decoded = self._rows, Decoded()
        rows.update(changing)
        decoded.take(_varbind(oid, rows[oid]) for oid in self._objects)
        decode_objects(self._profile, decoded)
        for table, places in self._tables:
            decode_table(self._profile, table, _columns(places, rows), decoded)
        found = Round(Moment(time, time), decoded)  # the lab has one clock
        return found.readings | self._rates.take(found.life, decoded.counts, found.readings)


def _places(table: TableProfile, rows: Rows) -> Mapping[str, Mapping[bytes, str]]:
    """The cells of each column of the table, by row."""
    found: dict[str, dict[bytes, str]] = {}
    for column in table.columns:
        size = len(encode_oid(column))
        cells = [oid for oid in rows if oid.startswith(f"{column}.")]
        found[column] = {encode_oid(oid)[size:]: oid for oid in cells}
    return found


def _columns(places: Mapping[str, Mapping[bytes, str]], rows: Rows) -> Columns:
    return {
        column: {index: _varbind(oid, rows[oid]) for index, oid in cells.items()}
        for column, cells in places.items()
    }


def _varbind(oid: str, cell: Cell) -> Varbind:
    """The row as it comes off the wire: texts are octets, pointers encoded."""
    tag, value = cell
    if isinstance(value, str):
        value = encode_oid(value) if tag == OBJECT_IDENTIFIER else value.encode()
    return encode_oid(oid), tag, value
