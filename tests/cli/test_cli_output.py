"""What answers cost to write."""

import sys

import yaml

from coldaisle.cli.output import yaml_text

MAX_CALLS_PER_VALUE = 15


def calls_of(document: object) -> int:
    """How many Python functions are called to write a document as YAML."""
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        yaml_text(document)
    finally:
        sys.setprofile(before)
    return count


def test_yaml_of_a_large_answer_is_not_written_character_by_character():
    values = [f"rack-{number:05d}, in row {number % 9}: 21 °C" for number in range(1_000)]
    assert calls_of(values) < MAX_CALLS_PER_VALUE * len(values)


def test_yaml_reads_back_as_it_was():
    values = {
        "a": [
            "x: y",
            "it's",
            "null",
            "2026-11-20",
            "word " * 40,
            "a\nb",
            "°C 中\x1b\x85\u2028\u202e",
            " x ",
            "",
        ]
    }
    assert yaml.safe_load(yaml_text(values)) == values
