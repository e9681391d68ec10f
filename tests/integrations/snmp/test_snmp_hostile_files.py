"""MIBs and recordings that are broken, hostile or of another kind are refused, in one line and in no time."""

import bz2

import pytest

from coldaisle.core.errors import ConfigError
from coldaisle.integrations.snmp import ProfileError
from coldaisle.integrations.snmp.mib import MAX_MIB_BYTES, compile_mib
from coldaisle.integrations.snmp.recording import read_rows


@pytest.mark.parametrize("letters", [b"a", b"a-"])
def test_a_file_that_is_one_long_word_is_no_mib(tmp_path, letters):
    """Read once: from each of its letters anew, this would take days."""
    file = tmp_path / "word.mib"
    file.write_bytes(letters * (MAX_MIB_BYTES // len(letters)))
    with pytest.raises(ProfileError, match="is no MIB"):
        compile_mib(file)


def test_a_mib_whose_names_go_in_a_circle_is_refused(tmp_path):
    file = tmp_path / "CIRCLE-MIB"
    names = "a OBJECT IDENTIFIER ::= { b 1 }\nb OBJECT IDENTIFIER ::= { a 1 }"
    file.write_text(f"CIRCLE-MIB DEFINITIONS ::= BEGIN\n{names}\nEND\n")
    with pytest.raises(ProfileError, match="in a circle"):
        compile_mib(file)


def test_a_walk_that_was_printed_with_names_is_refused_before_it_is_one_great_value(tmp_path):
    """Without -On no line begins with an OID, so that each would go on with the one before."""
    file = tmp_path / "named.snmpwalk"
    file.write_text("IF-MIB::ifDescr.1 = STRING: eth1\n" * 1_000_000)
    with pytest.raises(ConfigError, match="snmpwalk -On"):
        list(read_rows(file))


@pytest.mark.parametrize("content", [bz2.compress(b"")[:-8], b"no archive at all"], ids=["cut", "none"])
def test_an_archive_that_is_not_whole_is_refused(tmp_path, content):
    file = tmp_path / "cut.snmprec.bz2"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="is it whole"):
        list(read_rows(file))
