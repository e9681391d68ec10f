"""``coldaisle snmp``, as a person runs it: against our responder, recordings, Debian's snmpd, and a MIB."""

import asyncio
import os
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from coldaisle.agent.config import load_config
from coldaisle.integrations.snmp import Responder, Table, load_profile, tags
from coldaisle.integrations.snmp.recording import read_table

MIB = """ACME-MIB DEFINITIONS ::= BEGIN
IMPORTS MODULE-IDENTITY, OBJECT-TYPE, Integer32, Counter32, enterprises FROM SNMPv2-SMI
        DisplayString, TEXTUAL-CONVENTION FROM SNMPv2-TC;
acme MODULE-IDENTITY
    LAST-UPDATED "202401010000Z" ORGANIZATION "Acme" CONTACT-INFO "nobody" DESCRIPTION "SECRET PROSE"
    ::= { enterprises 99999 }
AcmeSwitch ::= TEXTUAL-CONVENTION STATUS current DESCRIPTION "SECRET PROSE" SYNTAX INTEGER { off(0), on(1) }
acmeSupplyTemp OBJECT-TYPE SYNTAX Integer32 UNITS "0.1 degrees Celsius"
    MAX-ACCESS read-only STATUS current DESCRIPTION "SECRET PROSE" ::= { acme 1 }
acmeFan OBJECT-TYPE SYNTAX AcmeSwitch
    MAX-ACCESS read-write STATUS current DESCRIPTION "SECRET PROSE" ::= { acme 2 }
acmeOutletTable OBJECT-TYPE SYNTAX SEQUENCE OF AcmeOutletEntry
    MAX-ACCESS not-accessible STATUS current DESCRIPTION "SECRET PROSE" ::= { acme 3 }
acmeOutletEntry OBJECT-TYPE SYNTAX AcmeOutletEntry
    MAX-ACCESS not-accessible STATUS current DESCRIPTION "SECRET PROSE" INDEX { acmeOutletIndex }
    ::= { acmeOutletTable 1 }
AcmeOutletEntry ::= SEQUENCE {
    acmeOutletIndex Integer32, acmeOutletName DisplayString, acmeOutletUses Counter32 }
acmeOutletIndex OBJECT-TYPE SYNTAX Integer32
    MAX-ACCESS not-accessible STATUS current DESCRIPTION "SECRET PROSE" ::= { acmeOutletEntry 1 }
acmeOutletName OBJECT-TYPE SYNTAX DisplayString
    MAX-ACCESS read-only STATUS current DESCRIPTION "SECRET PROSE" ::= { acmeOutletEntry 2 }
acmeOutletUses OBJECT-TYPE SYNTAX Counter32
    MAX-ACCESS read-only STATUS current DESCRIPTION "SECRET PROSE" ::= { acmeOutletEntry 3 }
END
"""


def recording(name: str) -> Path:
    spec = find_spec("snmpsim_data")
    assert spec is not None
    assert spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).rglob(f"{name}.snmprec*"))


async def snmp(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command, run beside the devices of this loop."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coldaisle.cli", "snmp", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.fixture
async def device():
    table = Table(
        {
            "1.3.6.1.2.1.1.3.0": (tags.TIMETICKS, 4711),
            "1.3.6.1.2.1.1.5.0": (tags.OCTET_STRING, b"pdu\xff"),
            "1.3.6.1.2.1.1.2.0": (tags.OBJECT_IDENTIFIER, "1.3.6.1.4.1.99999.1"),
            "1.3.6.1.4.1.99999.2.0": (tags.INTEGER, 1),
        }
    )

    def on_set(oid: str, tag: int, value: object) -> int:
        table.update({oid: (tag, value)})
        return 0

    async with Responder(table, on_set=on_set) as responder:
        yield responder


async def test_walk_and_get_print_types_and_values(device):
    code, output, _ = await snmp("walk", f"127.0.0.1:{device.port}", "1.3.6.1.2.1.1")
    assert code == 0
    assert output.splitlines() == [
        "1.3.6.1.2.1.1.2.0 = object_identifier: 1.3.6.1.4.1.99999.1",
        "1.3.6.1.2.1.1.3.0 = timeticks: 4711",
        "1.3.6.1.2.1.1.5.0 = octet_string: 0x706475ff",
    ]
    _, output, _ = await snmp("get", f"127.0.0.1:{device.port}", "1.3.6.1.2.1.1.3.0", "1.3.6.1.9.0")
    assert output.splitlines() == ["1.3.6.1.2.1.1.3.0 = timeticks: 4711", "1.3.6.1.9.0 = absent"]


async def test_a_walk_recorded_plays_the_same_device(device, tmp_path):
    _, output, _ = await snmp("walk", f"127.0.0.1:{device.port}", "1.3.6.1", "--recording")
    file = tmp_path / "device.snmprec"
    file.write_text(output)
    played = Table(read_table(file))
    assert played.rows == device.table.rows


async def test_set_needs_a_community_and_takes_it_from_a_file(device, tmp_path):
    where, oid = f"127.0.0.1:{device.port}", "1.3.6.1.4.1.99999.2.0"
    code, _, errors = await snmp("set", where, oid, "integer", "0")
    assert code != 0
    assert "--community-file" in errors
    (tmp_path / "write").write_text("private\n")
    code, output, errors = await snmp(
        "set", where, oid, "integer", "0", "--community-file", str(tmp_path / "write")
    )
    assert (code, output) == (0, f"{oid} = integer: 0\n"), errors
    assert device.table.value(oid) == (tags.INTEGER, 0)


async def test_a_silent_device_is_one_line(device):
    code, _, errors = await snmp(
        "get", f"127.0.0.1:{device.port}", "1.3.6.1.2.1.1.3.0", "--community-env", "WRONG",
        "--timeout", "0.1", "--retries", "0", WRONG="s3cret",
    )  # fmt: skip
    assert code != 0
    assert "did not answer" in errors
    assert "s3cret" not in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("get", "host:x", "1.3.6"), "host:port"), (("set", "h", "1.3.6", "colour", "1"), "no type"),
     (("profile", "test"), "ADDRESS"), (("profile", "show", "nope"), "known: "),
     (("translate", "1.3.6.1.9.9.9"), "no profile has"),
     (("profile", "test", "h", "--profile", "nope"), "known: ")],
)  # fmt: skip
async def test_a_wrong_command_says_what_to_do(arguments, reason):
    code, _, errors = await snmp(*arguments)
    assert code != 0
    assert reason in errors
    assert "Traceback" not in errors


async def test_a_profile_is_tested_on_a_recording():
    code, output, _ = await snmp("profile", "test", "--recording", str(recording("apc-8641")))
    assert code == 0
    lines = output.splitlines()
    assert lines[0] == "profile apc_rpdu2"
    assert any(line.split() == ["power_watts", "1210", "watts", "ok"] for line in lines)
    assert any(line.endswith("= 1.08, expected 0.9 to 1.5: ok") for line in lines)
    assert "inlet_temperature_celsius" in output
    assert "not available" in output


async def test_a_profile_with_a_wrong_scale_fails_its_test(tmp_path):
    """Volts times amperes over watts shows the factor of ten that a public module has."""
    (tmp_path / "ups_wrong.toml").write_text(
        """name = "ups_wrong"
kind = "ups"
[[tables]]
label = "line"
[[tables.metrics]]
oid = "1.3.6.1.2.1.33.1.4.4.1.2"
metric = "out_volts"
source = "test"
[[tables.metrics]]
oid = "1.3.6.1.2.1.33.1.4.4.1.3"
metric = "out_amperes"
source = "test"
[[tables.metrics]]
oid = "1.3.6.1.2.1.33.1.4.4.1.4"
metric = "out_watts"
source = "test"
[[relations]]
terms = ["out_volts", "out_amperes"]
total = "out_watts"
source = "test"
"""
    )
    code, output, errors = await snmp(
        "profile", "test", "--recording", str(recording("eaton-93e-80")), "--profile", "ups_wrong",
        "--profiles", str(tmp_path),
    )  # fmt: skip
    assert code != 0
    assert "= 11.65, expected 0.7 to 1.3: wrong" in output
    assert "implausible" in errors


async def test_profiles_are_listed_shown_and_searched():
    _, listed, _ = await snmp("profile", "list")
    _, shown, _ = await snmp("profile", "show", "arista")
    _, found, _ = await snmp("translate", "1.3.6.1.4.1.318.1.1.26.4.3.1.5.1")
    _, places, _ = await snmp("translate", "if_oper_status")
    assert "apc_rpdu2  pdu  1.3.6.1.4.1.318.1.3.4" in listed
    assert "extends if_mib" in shown
    assert "sensor_temperature_celsius" in shown
    assert found.startswith("power_watts  ")
    assert "1.3.6.1.2.1.2.2.1.8  profile arista" in places


async def test_a_mib_becomes_a_profile_without_its_prose(tmp_path):
    file = tmp_path / "ACME-MIB.txt"
    file.write_text(MIB)
    code, output, errors = await snmp("compile", str(file), "--name", "acme")
    assert code == 0, errors
    assert "SECRET" not in output
    profile = load_profile(output, "acme.toml")
    assert profile.match == ("1.3.6.1.4.1.99999",)
    assert {(m.metric, m.oid, m.scale) for m in profile.metrics} == {
        ("acme_supply_temp_celsius", "1.3.6.1.4.1.99999.1.0", 0.1),
        ("acme_fan", "1.3.6.1.4.1.99999.2.0", 1.0),
        ("acme_outlet_uses_total", "1.3.6.1.4.1.99999.3.1.3", 1.0),
    }  # fmt: skip
    assert [state.name for m in profile.metrics for state in m.states] == ["off", "on"]
    assert tomllib.loads(output)["tables"][0]["label_column"] == "1.3.6.1.4.1.99999.3.1.2"


async def test_a_mib_that_imports_an_absent_one_says_so(tmp_path):
    file = tmp_path / "ACME-MIB.txt"
    file.write_text(
        MIB.replace("enterprises FROM SNMPv2-SMI", "x FROM NOWHERE-MIB enterprises FROM SNMPv2-SMI")
    )
    code, _, errors = await snmp("compile", str(file))
    assert code != 0
    assert "--mibs" in errors
    assert "Traceback" not in errors


async def test_without_pysmi_the_command_names_what_to_install(tmp_path):
    """A package of that name that cannot be imported stands in the way of the real one."""
    (tmp_path / "pysmi").mkdir()
    (tmp_path / "pysmi" / "__init__.py").write_text("raise ModuleNotFoundError('absent', name='pysmi')")
    file = tmp_path / "ACME-MIB.txt"
    file.write_text(MIB)
    code, _, errors = await snmp("compile", str(file), PYTHONPATH=str(tmp_path))
    assert code != 0
    assert "pip install 'coldaisle[pysnmp]'" in errors


async def test_discover_prints_a_table_and_an_inventory_that_the_agent_takes(device, tmp_path):
    """Also from a device that pads its description with NUL, or would rule a terminal by it."""
    device.table.update(
        {
            "1.3.6.1.2.1.1.5.0": (tags.OCTET_STRING, b"pdu-1.example.net"),
            "1.3.6.1.2.1.1.1.0": (tags.OCTET_STRING, b"A PDU\x00\x00 \x1b[2J\x7f"),
        }
    )
    code, output, errors = await snmp(
        "discover", "127.0.0.0/30", "--port", str(device.port), "--timeout", "0.2", "--rate", "500"
    )
    assert code == 0, errors
    assert output.splitlines()[0] == "# 1 devices answered"
    (tmp_path / "found.toml").write_text(output)
    (tmp_path / "agent.toml").write_text('[agent]\nname = "agent-1"\ninventory = ["found.toml"]\n')
    config = load_config(tmp_path / "agent.toml")
    assert [(d.asset, d.address, d.profile) for d in config.devices] == [
        ("pdu-1", f"127.0.0.1:{device.port}", "generic")
    ]
    assert [asset.name for asset in config.assets] == ["pdu-1"]
