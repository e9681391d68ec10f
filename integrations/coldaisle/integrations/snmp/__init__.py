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
    NotAuthentic,
    PrivacyUnavailable,
    ProfileError,
    SecurityReport,
    SnmpError,
    SnmpTimeout,
    SocketUnavailable,
    TooManyRows,
    TooManySockets,
)
from coldaisle.integrations.snmp.notify import TrapListener
from coldaisle.integrations.snmp.oid import encode_oid, oid_text
from coldaisle.integrations.snmp.peers import KnownPeer
from coldaisle.integrations.snmp.profile import Profile
from coldaisle.integrations.snmp.profile_files import built_in_profiles, load_profile
from coldaisle.integrations.snmp.responder import Responder
from coldaisle.integrations.snmp.table import Table
from coldaisle.integrations.snmp.target import Target
from coldaisle.integrations.snmp.traps import (
    encode_inform,
    encode_trap_v1,
    encode_trap_v2,
    encode_trap_v3,
    prepare_inform,
)
from coldaisle.integrations.snmp.usm import LocalEngine, User
from coldaisle.integrations.snmp.usm.senders import TrapUser

__all__ = [
    "AddressUnusable",
    "DeviceConfig",
    "ErrorStatus",
    "InvalidOid",
    "InvalidValue",
    "KnownPeer",
    "LocalEngine",
    "MalformedMessage",
    "NonIncreasingOid",
    "NotAuthentic",
    "PrivacyUnavailable",
    "Profile",
    "ProfileError",
    "Responder",
    "SecurityReport",
    "SnmpActions",
    "SnmpClient",
    "SnmpCollector",
    "SnmpError",
    "SnmpTimeout",
    "SocketUnavailable",
    "Table",
    "Target",
    "TooManyRows",
    "TooManySockets",
    "TrapListener",
    "TrapUser",
    "User",
    "built_in_profiles",
    "encode_inform",
    "encode_oid",
    "encode_trap_v1",
    "encode_trap_v2",
    "encode_trap_v3",
    "load_profile",
    "oid_text",
    "prepare_inform",
    "tags",
]
