"""SNMP: collect from devices, act on them, receive their traps, and play a device."""

from coldaisle.integrations.snmp import tags
from coldaisle.integrations.snmp.act import SnmpActions
from coldaisle.integrations.snmp.client import SnmpClient
from coldaisle.integrations.snmp.collect import SnmpCollector
from coldaisle.integrations.snmp.config import DeviceConfig
from coldaisle.integrations.snmp.errors import (
    AddressUnusable,
    ErrorStatus,
    InvalidOid,
    InvalidValue,
    MalformedMessage,
    NonIncreasingOid,
    ProfileError,
    SnmpError,
    SnmpTimeout,
    TooManyRows,
)
from coldaisle.integrations.snmp.exchange import Target
from coldaisle.integrations.snmp.notify import TrapListener, encode_inform, encode_trap_v2
from coldaisle.integrations.snmp.oid import encode_oid, oid_text
from coldaisle.integrations.snmp.profile import Profile
from coldaisle.integrations.snmp.profile_files import built_in_profiles, load_profile
from coldaisle.integrations.snmp.responder import Responder, Table

__all__ = [
    "AddressUnusable",
    "DeviceConfig",
    "ErrorStatus",
    "InvalidOid",
    "InvalidValue",
    "MalformedMessage",
    "NonIncreasingOid",
    "Profile",
    "ProfileError",
    "Responder",
    "SnmpActions",
    "SnmpClient",
    "SnmpCollector",
    "SnmpError",
    "SnmpTimeout",
    "Table",
    "Target",
    "TooManyRows",
    "TrapListener",
    "built_in_profiles",
    "encode_inform",
    "encode_oid",
    "encode_trap_v2",
    "load_profile",
    "oid_text",
    "tags",
]
