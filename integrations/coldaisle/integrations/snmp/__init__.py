"""SNMP: collect from devices, act on them, receive their traps, and play a device."""

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
from coldaisle.integrations.snmp.notify import TrapListener, encode_inform, encode_trap_v2
from coldaisle.integrations.snmp.oid import encode_oid, oid_text
from coldaisle.integrations.snmp.responder import Responder, Table

__all__ = [
    "AddressUnusable",
    "ErrorStatus",
    "InvalidOid",
    "InvalidValue",
    "MalformedMessage",
    "NonIncreasingOid",
    "ProfileError",
    "Responder",
    "SnmpError",
    "SnmpTimeout",
    "Table",
    "TooManyRows",
    "TrapListener",
    "encode_inform",
    "encode_oid",
    "encode_trap_v2",
    "oid_text",
]
