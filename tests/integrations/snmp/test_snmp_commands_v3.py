"""``coldaisle snmp`` with version 3, as a person runs it, against Debian's snmpd."""

import asyncio
import os
import subprocess
import sys

import pytest

from coldaisle.integrations.snmp.usm.user import User

USER = User("carol", "SHA-1", "sign here please", "AES-128", "hide this please")
SYS_NAME, SYS_CONTACT = "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.4.0"


async def snmp(*arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coldaisle.cli", "snmp", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.fixture
def as_carol(tmp_path):
    """Her options: one phrase in a file, the other in the environment."""
    file = tmp_path / "auth-phrase"
    file.write_text(f"{USER.auth_phrase}\n")
    return ["-v", "3", "--user", USER.name, "--auth", "SHA-1", "--auth-phrase-file", str(file),
            "--privacy", "AES-128", "--privacy-phrase-env", "CAROLS_PHRASE", "--timeout", "5"]  # fmt: skip


async def test_a_user_of_version_3_reads_sets_walks_tests_and_discovers(snmpds, as_carol):
    port = (await snmpds(USER)).port
    address = f"127.0.0.1:{port}"

    async def done(*arguments):
        code, output, errors = await snmp(*arguments, *as_carol, CAROLS_PHRASE=USER.privacy_phrase)
        assert code == 0, errors
        return output

    assert await done("get", address, SYS_CONTACT) == f"{SYS_CONTACT} = octet_string: nobody\n"
    assert await done("set", address, SYS_NAME, "octet_string", "aisle") == (
        f"{SYS_NAME} = octet_string: aisle\n"
    )
    assert f"{SYS_NAME} = octet_string: aisle\n" in await done("walk", address, "1.3.6.1.2.1.1")
    assert "uptime_seconds" in await done("profile", "test", address, "--profile", "generic")
    assert "# 1 devices answered" in await done(
        "discover", "127.0.0.1/32", "--port", str(port), "--no-neighbours"
    )


async def test_a_wrong_phrase_is_told_without_it(snmpds, as_carol):
    port = (await snmpds(USER)).port
    code, output, errors = await snmp(
        "get", f"127.0.0.1:{port}", SYS_NAME, *as_carol, "--retries", "0", CAROLS_PHRASE="not the right one"
    )
    assert (code, output) == (1, "")
    assert errors.startswith("Error: ")
    assert "not the right one" not in errors
    assert USER.auth_phrase not in errors


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["-v", "3"], "version 3 needs a --user"),
        (["--user", "carol"], "a --user needs -v 3"),
        (["-v", "3", "--user", "carol", "--auth", "SHA-1"], "auth_phrase_file"),
    ],
)
async def test_options_that_do_not_go_together_are_refused(options, complaint):
    code, output, errors = await snmp("get", "127.0.0.1:9", SYS_NAME, *options)
    assert code != 0
    assert output == ""
    assert complaint in errors
