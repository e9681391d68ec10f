"""What devices of one kind have in common is kept once, while one of them has it."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from coldaisle.integrations.snmp.layout import Layout
    from coldaisle.integrations.snmp.poll import Plan
    from coldaisle.integrations.snmp.rates import CounterRow
    from coldaisle.integrations.snmp.routine import Script

MAX_VALUES = 1_024
"""Of the small values; beyond it the sharing starts anew, and what is in use stays."""

_Value = TypeVar("_Value")


class Shared:
    """One for all devices of a collector."""

    def __init__(self) -> None:
        self.scripts: WeakValueDictionary[Hashable, Script] = WeakValueDictionary()
        self.layouts: WeakValueDictionary[Hashable, Layout] = WeakValueDictionary()
        self.rows: WeakValueDictionary[Hashable, CounterRow] = WeakValueDictionary()
        self.plans: WeakValueDictionary[Hashable, Plan] = WeakValueDictionary()
        self._values: dict[Hashable, object] = {}

    def one_of(self, key: Hashable, value: _Value) -> _Value:
        """The value that first came with this key, which must tell all of it and its type."""
        if len(self._values) >= MAX_VALUES:
            self._values.clear()
        known = self._values.setdefault(key, value)
        assert isinstance(known, type(value)), "a key tells the type of its value"
        return known
