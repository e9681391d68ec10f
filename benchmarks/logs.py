"""Log templates beside drain3: how well lines are grouped, and how many a second of one core's time.

Grouping accuracy needs Loghub's labelled lines (COLDAISLE_SHARED names the folder that holds data/loghub);
without them made-up lines tell the speed alone. One configuration for all sixteen systems on either side:
drain3 as it comes, and with masks for addresses, hexadecimal words and numbers.
"""

import csv
import gzip
import logging
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig
from measure import Bar, interleaved, report

from coldaisle.core.templates.drain import Drain

SHARED = Path(os.environ.get("COLDAISLE_SHARED", Path(__file__).parents[2] / "shared"))
ROUNDS = 5
MIN_MEAN_ACCURACY = 0.86
MIN_LINES_PER_SECOND = 80_000
MADE_UP_LINES = 32_000
MASKS = (
    (r"(?<![A-Za-z0-9])(?:[0-9a-fA-F]{2,}:){3,}[0-9a-fA-F]{2,}(?![A-Za-z0-9])", "ID"),
    (r"(?<![A-Za-z0-9])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![A-Za-z0-9])", "IP"),
    (r"(?<![A-Za-z0-9])(?:0x[0-9a-fA-F]+|[0-9a-fA-F]{8,})(?![A-Za-z0-9])", "HEX"),
    (r"(?<![A-Za-z0-9])[-+]?\d+(?![A-Za-z0-9])", "NUM"),
)

System = tuple[str, list[str], list[str]]
"""Name, messages, labels."""


def systems() -> list[System]:
    """The labelled lines, or one made-up system without labels."""
    found = [read(file) for file in sorted((SHARED / "data" / "loghub").glob("*.log_structured.csv.gz"))]
    return found or [("made up", list(made_up()), [])]


def read(file: Path) -> System:
    """One file of Loghub."""
    with gzip.open(file, "rt", encoding="utf-8", errors="replace") as text:
        rows = list(csv.DictReader(text))
    return file.name.partition("_2k")[0], [r["Content"] for r in rows], [r["EventId"] for r in rows]


def made_up() -> Iterator[str]:
    """Lines of forty kinds with numbers, addresses and paths in them."""
    chance = random.Random(1)
    for _ in range(MADE_UP_LINES):
        kind = chance.randrange(40)
        yield (
            f"unit-{'abcdefgh'[kind % 8]} part{'xyzuv'[kind // 8]} took {chance.randrange(999)} ms for "
            f"10.0.{chance.randrange(9)}.7:{chance.randrange(9_999)} at /var/lib/{chance.randrange(99)}/q"
        )


def ours(lines: Sequence[str]) -> list[str]:
    """The template of each line."""
    drain = Drain()
    return [found.template.id for line in lines if (found := drain.mine("", line))]


def theirs(lines: Sequence[str], masks: bool) -> list[int]:
    """The cluster of each line."""
    config = TemplateMinerConfig()
    config.profiling_enabled = False
    config.masking_instructions = [MaskingInstruction(*mask) for mask in MASKS] if masks else []
    miner = TemplateMiner(config=config)
    return [miner.add_log_message(line)["cluster_id"] for line in lines]


def accuracy(groups: Sequence[object], labels: Sequence[str]) -> float:
    """The share of lines whose group holds exactly the lines of their label."""
    found: defaultdict[object, set[int]] = defaultdict(set)
    true: defaultdict[str, set[int]] = defaultdict(set)
    for number, (group, label) in enumerate(zip(groups, labels, strict=True)):
        found[group].add(number)
        true[label].add(number)
    return sum(len(lines) for lines in found.values() if true[labels[min(lines)]] == lines) / len(labels)


def main() -> None:
    logging.disable(logging.INFO)  # drain3 tells of every start
    measured = systems()
    ways: dict[str, Callable[[Sequence[str]], Sequence[object]]] = {
        "coldaisle": ours,
        "drain3": lambda lines: theirs(lines, masks=False),
        "drain3_masks": lambda lines: theirs(lines, masks=True),
    }
    labelled = [system for system in measured if system[2]]
    means: dict[str, float] = {}
    figures: dict[str, object] = {}
    for name, way in ways.items() if labelled else ():
        scores = {system: accuracy(way(lines), labels) for system, lines, labels in labelled}
        means[name] = sum(scores.values()) / len(scores)
        figures[f"accuracy_{name}"] = round(means[name], 4)
        if name == "coldaisle":
            figures |= {f"accuracy_{system}": round(score, 3) for system, score in scores.items()}
    works = {name: (lambda way=way: [way(lines) for _, lines, _ in measured]) for name, way in ways.items()}
    timings = interleaved(works, ROUNDS)
    count = sum(len(lines) for _, lines, _ in measured)
    speeds = {name: count / timing.cpu for name, timing in timings.items()}
    figures |= {f"lines_per_cpu_second_{name}": round(speed) for name, speed in speeds.items()}
    bars = {
        "lines_per_cpu_second": Bar(speeds["coldaisle"], MIN_LINES_PER_SECOND),
        "speed_over_drain3_with_masks": Bar(speeds["coldaisle"] / speeds["drain3_masks"], 1.0),
    }
    if means:
        bars["mean_grouping_accuracy"] = Bar(means["coldaisle"], MIN_MEAN_ACCURACY)
    report("logs", figures, bars)


if __name__ == "__main__":
    main()
