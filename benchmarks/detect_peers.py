"""What detectors of other packages find, how fast, and our stage 1 in the same run.

Each package of peers gets an environment of its own in a temporary folder (uv, pinned versions, this
interpreter); ``peers/detectors.py`` runs there with the defaults of its documentation, on the series of the
Numenta Anomaly Benchmark. What cannot be installed is named and left out. A peer that takes milliseconds a
row sees only the real series shorter than SMALL_ROWS, beside ours on the same, with COLDAISLE_SOAK=1.

ADTK has no streaming detector and gives alarms, no scores: it is fitted to the rows that the benchmark does
not score and applied to the whole file. Its LevelShiftAD is left out: it compares with the window *after* a
sample, which nobody has who watches. CPU seconds, one thread each.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import Bar, report

from coldaisle.core.detect.novelty import NoveltyState
from coldaisle.core.detect.univariate import detector

SHARED = Path(os.environ.get("COLDAISLE_SHARED", Path(__file__).parents[2] / "shared"))
CHILD = Path(__file__).parent / "peers" / "detectors.py"
UV = Path(sys.executable).parent / "uv"
OURS = "coldaisle one by one"
INSTALL_SECONDS = 180
RUN_SECONDS = 900
SMALL_ROWS = 2_000
"""A slow peer sees the real series that are shorter (9 of 58)."""

COPIES = 69
"""Of each of the 58 series, for a block of the size that a server has at hand (4,002)."""

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@dataclass(frozen=True)
class Package:
    """What is installed together, and the peers in it (names that the child knows)."""

    requirements: Sequence[str]
    peers: Sequence[str]
    slow: bool = False


PACKAGES = (
    Package(
        ("pysad==0.7.0", "numpy==2.4.6", "scipy==1.17.1"),
        ("pysad KNNCAD", "pysad LODA", "pysad StandardAbsoluteDeviation"),
    ),
    Package(  # its statsmodels wants an older scipy than it says
        ("streamad==0.3.1", "numpy==1.26.4", "scipy==1.11.4", "setuptools==80.9.0"),
        ("streamad KNNDetector", "streamad SpotDetector", "streamad ZScoreDetector"),
    ),
    Package(  # fails with the types of pandas 3
        ("adtk==0.6.2", "numpy==1.26.4", "pandas==1.5.3"), ("adtk PersistAD", "adtk InterQuartileRangeAD")
    ),
    Package(  # imports pkg_resources
        ("rrcf==0.4.4", "numpy==2.4.6", "setuptools==80.9.0"), ("rrcf",), slow=True
    ),
)


@dataclass(frozen=True)
class Found:
    """What a detector reaches, as JSON has it."""

    series: int
    standard: float
    samples_per_second: int


class Benchmark:
    """NAB's series, all or the small ones, and its standard score."""

    def __init__(self) -> None:
        sys.path.insert(0, str(SHARED / "tools"))
        self._scorer = importlib.import_module("nab_score")
        profiles = json.loads((SHARED / "data" / "nab" / "config" / "profiles.json").read_text())
        self._costs = profiles["standard"]["CostMatrix"]
        self.all: list[Any] = self._scorer.load_corpus(SHARED / "data" / "nab")
        self.small = [s for s in self.all if s.name.startswith("real") and len(s.times) < SMALL_ROWS]

    def found(self, series: Sequence[Any], scores: Mapping[str, Any], seconds: float) -> Found:
        """A run's standard score (at the threshold best for it) and rate."""
        standard = self._scorer.profile_score(series, scores, self._costs)[0]
        rate = round(sum(len(s.times) for s in series) / seconds)
        return Found(len(series), round(standard, 2), rate)

    def ours(self, series: Sequence[Any]) -> Found:
        """Stage 1, sample by sample."""
        began = time.process_time()
        scores = self._scorer.run_detector(detector, series)
        return self.found(series, scores, time.process_time() - began)


def blocks_rate(corpus: Sequence[Any]) -> int:
    """Samples per CPU-second of stage 1 as a server calls it: the next sample of copies of every series."""
    rows = min(len(s.times) for s in corpus)
    times = np.tile(np.array([s.times[:rows] for s in corpus]).T.astype(np.int64), COPIES)
    values = np.tile(np.array([s.values[:rows] for s in corpus]).T, COPIES)
    series = np.arange(times.shape[1])
    state = NoveltyState()
    state.reserve(len(series))
    began = time.process_time()
    for row in range(rows):
        state.update(series, values[row], times[row])
    return round(values.size / (time.process_time() - began))


def environment(folder: Path, requirements: Sequence[str]) -> Path:
    """The interpreter of a new environment that holds these; SubprocessError or OSError if it cannot be."""
    python = folder / "bin" / "python"
    for command in (
        ["venv", "-q", "--python", sys.executable, str(folder)],
        ["pip", "install", "-q", "--python", str(python), *requirements],
    ):
        subprocess.run([UV, *command], check=True, timeout=INSTALL_SECONDS, capture_output=True, text=True)
    return python


def run_peer(python: Path, peer: str, samples: Path) -> tuple[dict[str, Any], float]:
    """Scores of each series, and CPU seconds."""
    target = samples.with_name("scores.npz")
    command = [python, "-W", "ignore", CHILD, peer, samples, target]
    env = os.environ | ONE_THREAD
    done = subprocess.run(command, check=True, timeout=RUN_SECONDS, capture_output=True, text=True, env=env)
    with np.load(target) as scores:
        return dict(scores), float(done.stdout.split()[-1])


def write_samples(path: Path, corpus: Sequence[Any]) -> None:
    """The values of each series and how many of its first rows are not scored, for the child."""
    skips = {f"{s.name}:skip": np.int64(s.skip) for s in corpus}
    np.savez(path, **{s.name: s.values for s in corpus}, **skips)


def package_figures(benchmark: Benchmark, package: Package) -> Iterator[tuple[str, Found | str]]:
    """What each peer of the package reaches, or why it does not run."""
    corpus = benchmark.small if package.slow else benchmark.all
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = folder / "samples.npz"
        write_samples(samples, corpus)
        try:
            python = environment(folder / "env", package.requirements)
            for peer in package.peers:
                yield peer, benchmark.found(corpus, *run_peer(python, peer, samples))
        except (OSError, subprocess.SubprocessError) as error:
            yield package.requirements[0], f"not run: {why(error)}"


def why(error: Exception) -> str:
    """The last line that a failed command said, or the error itself."""
    said = str(getattr(error, "stderr", None) or "").strip()
    return said.splitlines()[-1] if said else str(error)


def compare(benchmark: Benchmark) -> dict[str, Found | str]:
    """Ours and every peer."""
    figures: dict[str, Found | str] = {OURS: benchmark.ours(benchmark.all)}
    soak = bool(os.environ.get("COLDAISLE_SOAK"))
    if soak:
        figures[f"{OURS}, small series"] = benchmark.ours(benchmark.small)
    for package in PACKAGES:
        if package.slow and not soak:
            figures[package.requirements[0]] = "not run: slow; set COLDAISLE_SOAK=1"
        else:
            figures.update(package_figures(benchmark, package))
    return figures


def main() -> None:
    if not (SHARED / "tools" / "nab_score.py").is_file():
        report("detect_peers", {"peers": f"not run: no benchmark data in {SHARED} (COLDAISLE_SHARED)"}, {})
        return
    benchmark = Benchmark()
    figures: dict[str, object] = {"coldaisle_blocks_samples_per_second": blocks_rate(benchmark.all)}
    found = compare(benchmark)
    figures |= {name: each if isinstance(each, str) else vars(each) for name, each in found.items()}
    ours = found.pop(OURS)
    whole = [each for each in found.values() if isinstance(each, Found) and each.series == len(benchmark.all)]
    best = max((each.standard for each in whole), default=0.0)
    assert isinstance(ours, Found)
    report("detect_peers", figures, {"points_above_the_best_peer": Bar(ours.standard - best, 0.0)})


if __name__ == "__main__":
    main()
