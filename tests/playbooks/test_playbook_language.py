"""The playbook language: what is refused, and how the refusal helps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldaisle.core.errors import ConfigError
from coldaisle.playbooks import MAX_PLAYBOOK_BYTES, builtin_playbooks, read_playbook
from coldaisle.playbooks.reading import _path

GOOD = """\
playbook: demo
title: Demo
parameters:
  asset: {type: asset}
  level: {type: number, default: 3, minimum: 1, maximum: 5}
steps:
  - id: one
    action: snmp.set
    for_each: {related_by: cooled_by, to: "${asset}"}
    with: {metric: fan_percent, value: "${level}", note: "for ${each}"}
  - id: two
    action: wait_until
    asset: "${asset}"
    with: {metric: inlet_temperature_celsius, below: 26}
verify:
  assets: "${asset}"
  metric: inlet_temperature_celsius
  below: 26
"""


def test_a_good_playbook_is_read():
    playbook = read_playbook(GOOD)
    assert playbook.id == "demo"
    assert [step.id for step in playbook.steps] == ["one", "two"]
    assert playbook.parameters["asset"].required
    assert not playbook.parameters["level"].required


def test_the_revision_is_of_the_source_text():
    assert read_playbook(GOOD).revision == read_playbook(GOOD, "elsewhere").revision
    assert read_playbook(GOOD).revision != read_playbook(GOOD + "# a comment\n").revision


FAULTS = [
    ("playbook: demo", "playbook: Demo!", 1, "playbook = 'Demo!'", "lower-case"),
    ("title: Demo\n", "", 1, "the key title is missing", "add it"),
    ("title: Demo", "title: [1]", 2, "title: expected str, got array", "of that kind"),
    ("title: Demo", "titel: Demo\ntitle: Demo", 2, "titel = 'Demo': no such key", "spelling"),
    ("title: Demo", "title: Demo\ntitle: Again", 3, "title stands twice", "remove"),
    (
        "asset: {type: asset}",
        "asset: {type: rack}",
        4,
        "parameters.asset.type = 'rack': invalid enum value",
        "of that kind",
    ),
    ("default: 3", "default: 9", 5, "9 is above the maximum 5", "correct"),
    ("default: 3", "default: lots", 5, "'lots' is not of type number", "correct"),
    ("{type: asset}", "{type: asset, minimum: 1}", 4, "type asset has no bounds", "remove"),
    ("  asset: {type", "  each: {type", 4, "not a parameter's name", "not 'each'"),
    ("action: snmp.set", "action: SNMP set", 8, "steps[0].action = 'SNMP set'", "system.verb"),
    ("action: snmp.set\n", "acton: snmp.set\n", 8, "steps[0].acton = 'snmp.set': no such key", "spelling"),
    ("  - id: one\n    action", "  - action", 7, "steps[0]: the key id is missing", "add it"),
    ("related_by: cooled_by", "related_by: cooled", 9, "invalid enum value", "of that kind"),
    ('to: "${asset}"', 'to: "${rack}"', 9, "${rack} names no parameter", "use one of: asset, level"),
    ('"${level}"', '"${levl}"', 10, "${levl} names no parameter", "use one of: asset, each, level"),
    ("metric: fan_percent", "metric: .inf", 10, "inf is out of range", "finite"),
    ("id: two", "id: one", 11, "also the id of step 1", "its own"),
    ("below: 26}", "below: 26, until: 3}", 14, "steps[1].with.until = 3: no such key", "use ["),
    ("below: 26}", "above_all: 26}", 14, "no such key", "use ["),
    ('    asset: "${asset}"\n', "", 11, "wait_until has no asset", "for_each"),
    ("  below: 26\n", "", 15, "verify: no bound", "below or above"),
    ("  below: 26\n", "  below: 26\n  within_seconds: 0\n", 19, "verify.within_seconds = 0", "seconds"),
    ("  below: 26\n", "  below: 26\n  for_seconds: 900\n", 15, "not longer than for_seconds", "more time"),
    ("title: Demo", "title: !!python/name:os.system x", 2, "tag", "plain value"),
    ("title: Demo", "title: &a Demo", 2, "anchors and aliases", "write the value out"),
    ("title: Demo", "title: [a", 3, "not YAML", "syntax"),
    ("title: Demo", "title: 0b_", 2, "is no value", "quote"),
]


@pytest.mark.parametrize(("old", "new", "line", "what", "remedy"), FAULTS)
def test_a_fault_names_file_line_value_and_remedy(old, new, line, what, remedy):
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        read_playbook(GOOD.replace(old, new, 1), "demo.yaml")
    message = str(caught.value)
    assert message.startswith(f"demo.yaml:{line}: ")
    assert what in message
    assert remedy in message.rpartition("; ")[2]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the file is empty"),
        ("- 1", "not a map"),
        ("a: b\n---\nc: d", "not YAML"),
        ("x: " + "[" * 50 + "]" * 50, "nested deeper"),
        ("{" * 5_000, "nested deeper"),
        ("a: &a [x]\nb: &b [*a, *a]", "anchors and aliases"),
        ("#" * MAX_PLAYBOOK_BYTES + "\n", "are read"),
        ("? [a]\n: b", "a key that is not text"),
        ("title: " + "x" * 5_000, "characters"),
        ("a: \x00", "not YAML"),
    ],
)
def test_what_could_harm_is_refused(text, what):
    with pytest.raises(ConfigError, match=what):
        read_playbook(text)


def test_words_that_yaml_takes_for_dates_stay_text():
    assert read_playbook(GOOD.replace("title: Demo", "title: 2024-99-99")).title == "2024-99-99"


_MUTATION = st.tuples(
    st.integers(0, len(GOOD)), st.integers(0, 12), st.text("${}[]:&*!|>'\"-? \nx0b_.1eéyon", max_size=6)
)


@given(st.lists(_MUTATION, max_size=4))
def test_a_mutilated_playbook_is_read_or_refused_with_a_place(mutations):
    text = GOOD
    for at, cut, put in mutations:
        text = text[:at] + put + text[at + cut :]
    _only_config_errors(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text):
    _only_config_errors(text)


def _only_config_errors(text):
    try:
        read_playbook(text, "fuzz.yaml")
    except ConfigError as error:
        assert str(error).startswith("fuzz.yaml:")  # noqa: PT017 - an error is one of two good answers
        assert "; " in str(error)  # noqa: PT017


def test_places_of_the_decoder_become_paths():
    assert _path("$.steps[0].with[...]") == ("steps", 0, "with")
    assert _path("") == ()


def test_every_builtin_playbook_explains_itself():
    playbooks = builtin_playbooks()
    assert [playbook.id for playbook in playbooks] == ["boost-cooling", "notify-oncall", "power-cycle-outlet"]
    for playbook in playbooks:
        assert playbook.description
        assert "What to learn" in playbook.text
        assert all(
            parameter.description or not parameter.required for parameter in playbook.parameters.values()
        )


def test_a_text_is_parsed_once():
    """Each proposal, each list and each alert asks for the same few texts."""
    text = builtin_playbooks()[0].text
    assert read_playbook(text, "one.yaml") is read_playbook(text, "one.yaml")
