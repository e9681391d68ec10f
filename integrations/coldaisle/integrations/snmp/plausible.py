"""Holds readings against each other: volts times amperes must be near watts. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from math import prod

from msgspec import Struct

from coldaisle.integrations.snmp.decode import Readings
from coldaisle.integrations.snmp.profile import Profile, Relation


class Comparison(Struct, frozen=True):
    """A relation as it was found: ``share`` is the product over the total, at ``label`` (empty: all)."""

    relation: Relation
    label: str
    product: float
    total: float

    @property
    def share(self) -> float:
        """The product over the total."""
        return self.product / self.total

    @property
    def holds(self) -> bool:
        """Whether the share is within the relation's bounds."""
        return self.relation.low <= self.share <= self.relation.high


def compare(profile: Profile, readings: Readings) -> list[Comparison]:
    """Every relation that the readings can show; without load there is nothing to compare."""
    by_name = _by_label(readings)
    return [found for relation in profile.relations for found in _compare(relation, by_name)]


def _compare(relation: Relation, by_name: Mapping[str, Mapping[str, float]]) -> list[Comparison]:
    terms = [by_name.get(term, {}) for term in relation.terms]
    products = {label: prod(term[label] for term in terms) for label in terms[0] if _in_all(label, terms)}
    totals = by_name.get(relation.total, {})
    if list(totals) == [""] and products:
        products = {"": sum(products.values())}
    return [
        Comparison(relation, label, product, totals[label])
        for label, product in products.items()
        if totals.get(label) and product
    ]


def _in_all(label: str, terms: list[Mapping[str, float]]) -> bool:
    return all(label in term for term in terms)


def _by_label(readings: Readings) -> Mapping[str, Mapping[str, float]]:
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for full, value in readings.items():
        name, brace, label = full.partition("{")
        if value is not None:
            found[name][brace + label] = value
    return found
