"""From a MIB of the user's to the skeleton of a profile: OIDs, types, states and units, no text of the MIB.

pysmi does the reading and is imported on use. Roots that every MIB needs are stated here as the few facts
they are, so that a vendor's file compiles alone; a folder of the user's that has the real ones wins.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from coldaisle.integrations.snmp.errors import ProfileError

MAX_MIB_BYTES = 8_388_608
INSTALL = "pip install 'coldaisle[pysnmp]'"

_ROOTS = (
    "org { iso 3 }",
    "dod { org 6 }",
    "internet { dod 1 }",
    "directory { internet 1 }",
    "mgmt { internet 2 }",
    "mib-2 { mgmt 1 }",
    "transmission { mib-2 10 }",
    "experimental { internet 3 }",
    "private { internet 4 }",
    "enterprises { private 1 }",
    "security { internet 5 }",
    "snmpV2 { internet 6 }",
    "snmpModules { snmpV2 3 }",
    "zeroDotZero { 0 0 }",
)
_TEXTS = ("DisplayString", "PhysAddress", "MacAddress", "DateAndTime", "TAddress")
_NUMBERS = ("TruthValue", "TestAndIncr", "RowStatus", "StorageType", "TimeInterval")
_POINTERS = ("AutonomousType", "InstancePointer", "VariablePointer", "RowPointer", "TDomain")
_TYPES = {
    "INTEGER": "integer",
    "Integer32": "integer",
    "Unsigned32": "gauge32",
    "Gauge32": "gauge32",
    "Gauge": "gauge32",
    "Counter": "counter32",
    "Counter32": "counter32",
    "Counter64": "counter64",
    "TimeTicks": "timeticks",
    **dict.fromkeys(_NUMBERS, "integer"),
}
_UNITS = (
    ("celsius", "celsius"),
    ("degrees c", "celsius"),
    ("volt-amp", "volt_amperes"),
    ("va", "volt_amperes"),
    ("kwh", "kilowatt_hours_total"),
    ("volt", "volts"),
    ("amp", "amperes"),
    ("watt", "watts"),
    ("percent", "percent"),
    ("%", "percent"),
    ("hertz", "hertz"),
    ("hz", "hertz"),
    ("rpm", "rpm"),
    ("minute", "minutes"),
    ("second", "seconds"),
)
_SCALES = (
    (r"\b0\.01\b|hundredth|1/100\b", 0.01),
    (r"\b0\.1\b|tenth|1/10\b", 0.1),
    (r"\b0\.001\b|milli|thousandth", 0.001),
)

Symbols = Mapping[str, dict[str, Any]]
"""What pysmi says of each name of a MIB; its JSON has no types that we could state."""


def compile_mib(file: Path, folders: Iterable[Path] = ()) -> Symbols:
    """The symbols of a MIB; ``folders`` hold those that it imports. Raises ProfileError."""
    if not file.is_file() or file.stat().st_size > MAX_MIB_BYTES:
        raise ProfileError(f"{file} is no file of at most {MAX_MIB_BYTES} bytes; name a MIB")
    module = _module_name(file)
    documents: dict[str, str] = {}
    status, reason = _run_pysmi(module, [file.parent, *folders], documents)
    if module not in documents:
        raise ProfileError(
            f"{file}: {status}: {reason}; put the MIBs that it imports beside it, or name their folder "
            "with --mibs"
        )
    found: Symbols = json.loads(documents[module])
    return {name: symbol for name, symbol in found.items() if isinstance(symbol, dict)}


def skeleton(symbols: Symbols, module: str, name: str) -> str:
    """A profile in TOML for a person to finish: kinds, names and scales are guesses to be checked."""
    objects = [symbol for symbol in symbols.values() if symbol.get("nodetype") == "scalar"]
    rows = [symbol for symbol in symbols.values() if symbol.get("nodetype") == "row"]
    parts = [_head(symbols, module, name)]
    parts += [
        entry
        for symbol in objects
        for entry in _entry("objects", symbol, f"{symbol['oid']}.0", symbols, module)
    ]
    for row in rows:
        columns = [symbol for symbol in symbols.values() if _is_column_of(symbol, row)]
        entries = [e for c in columns for e in _entry("tables.metrics", c, c["oid"], symbols, module)]
        if entries:
            parts += [_table(row, columns), *entries]
    return "\n\n".join(parts) + "\n"


def _module_name(file: Path) -> str:
    # from the beginning of a word only: else a long one is read anew from each of its letters
    found = re.search(rb"(?<![\w-])([A-Za-z][\w-]*)\s+DEFINITIONS\s*::=\s*BEGIN", file.read_bytes())
    if found is None:
        raise ProfileError(f"{file} is no MIB: it has no line with DEFINITIONS ::= BEGIN")
    return found[1].decode()


def _run_pysmi(module: str, folders: list[Path], documents: dict[str, str]) -> tuple[str, str]:
    try:
        from pysmi.codegen.jsondoc import JsonCodeGen
        from pysmi.compiler import MibCompiler
        from pysmi.error import PySmiError
        from pysmi.parser.smi import parserFactory
        from pysmi.reader import CallbackReader, FileReader
        from pysmi.writer import CallbackWriter
    except ModuleNotFoundError as error:
        raise ProfileError(f"compiling a MIB needs pysmi, which is not installed; run {INSTALL}") from error

    def keep(name: str, document: str, context: object) -> None:
        documents[name] = document

    compiler = MibCompiler(parserFactory()(tempdir=""), JsonCodeGen(), CallbackWriter(keep))
    compiler.add_sources(*(FileReader(str(folder)) for folder in folders), CallbackReader(_root_module))
    try:
        status = compiler.compile(module, noDeps=True).get(module)
    except PySmiError as error:
        return "failed", str(error)
    except RecursionError:
        return "failed", "its names are made of each other in a circle, or a thousand deep"
    return str(status), str(getattr(getattr(status, "error", None), "msg", ""))


def _root_module(name: str, context: object) -> str:
    """The facts of a root module; empty when it is none."""
    bodies = {
        "SNMPv2-SMI": [
            f"{root.split(' ', 1)[0]} OBJECT IDENTIFIER ::= {root.split(' ', 1)[1]}" for root in _ROOTS
        ],
        "SNMPv2-TC": [
            *(f"{text} ::= OCTET STRING" for text in _TEXTS),
            *(f"{number} ::= INTEGER" for number in _NUMBERS),
            "TimeStamp ::= TimeTicks",
            *(f"{pointer} ::= OBJECT IDENTIFIER" for pointer in _POINTERS),
        ],
        "SNMPv2-CONF": [],
    }
    return "\n".join([f"{name} DEFINITIONS ::= BEGIN", *bodies[name], "END"]) if name in bodies else ""


def _head(symbols: Symbols, module: str, name: str) -> str:
    oids = [symbol["oid"] for symbol in symbols.values() if "oid" in symbol]
    vendor = ".".join(min(oids, key=len).split(".")[:7]) if oids else ""
    match = f'match = ["{vendor}"]' if vendor.startswith("1.3.6.1.4.1.") else "match = []"
    comment = f"# Made from {module}. Check kind, match, names, units and scales; remove what nobody needs."
    return f'{comment}\nname = "{name}"\nkind = "device"\n{match}'


def _table(row: dict[str, Any], columns: list[dict[str, Any]]) -> str:
    label = _snake(re.sub(r"(Table)?Entry$", "", row["name"]))
    naming = next((c["oid"] for c in columns if re.search(r"(Name|Descr|Label)$", c["name"])), "")
    return f'[[tables]]\nlabel = "{label}"' + (f'\nlabel_column = "{naming}"' if naming else "")


def _is_column_of(symbol: dict[str, Any], row: dict[str, Any]) -> bool:
    parent = str(symbol.get("oid", "")).rpartition(".")[0]
    readable = symbol.get("maxaccess") in ("read-only", "read-write", "read-create")
    return symbol.get("nodetype") == "column" and parent == row["oid"] and readable


def _entry(kind: str, symbol: dict[str, Any], oid: str, symbols: Symbols, module: str) -> Iterator[str]:
    """An entry, for the objects that are numbers."""
    syntax = _resolved(symbol.get("syntax", {}), symbols)
    wire_type = _TYPES.get(str(syntax.get("type", "")))
    if wire_type is None:
        return
    units = str(symbol.get("units", "")).lower()
    metric, scale = (
        _snake(symbol["name"]),
        next((s for pattern, s in _SCALES if re.search(pattern, units)), 1.0),
    )
    suffix = next((unit for text, unit in _UNITS if text in units), "")
    metric += f"_{suffix}" if suffix and not metric.endswith(suffix) else ""
    metric += "_total" if wire_type.startswith("counter") and not metric.endswith("_total") else ""
    lines = [f"[[{kind}]]", f'oid = "{oid}"', f'metric = "{metric}"', f'type = "{wire_type}"']
    lines += [f"scale = {scale}"] if scale != 1.0 else []
    lines += _states(syntax)
    yield "\n".join([*lines, f'source = "{module}::{symbol["name"]}"'])


def _states(syntax: dict[str, Any]) -> list[str]:
    values = dict(syntax.get("constraints", {}).get("enumeration", {}))
    rows = [
        f'  {{ wire = {wire}, value = {float(wire)}, name = "{name}" }},' for name, wire in values.items()
    ]
    return ["states = [", *rows, "]"] if rows else []


def _resolved(syntax: dict[str, Any], symbols: Symbols) -> dict[str, Any]:
    """A syntax with the MIB's own types replaced by what they are."""
    own = symbols.get(str(syntax.get("type", "")), {}).get("type", {})
    return (
        {**own, **{k: v for k, v in syntax.items() if k != "type"}}
        if isinstance(own, dict) and own
        else syntax
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).replace("-", "_").lower()
