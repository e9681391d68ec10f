"""The shape of the repository: what no single package can see."""

import importlib
import pkgutil
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def roots() -> set[str]:
    return {path.parent.name for path in ROOT.glob("*/coldaisle") if path.is_dir()}


def test_no_root_claims_the_namespace() -> None:
    """One stray __init__.py makes every other root vanish."""
    assert not [*ROOT.glob("*/__init__.py"), *ROOT.glob("*/coldaisle/__init__.py")]


def test_every_list_of_roots_names_the_folders_on_disk() -> None:
    tool = PYPROJECT["tool"]
    packages = tool["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.removesuffix("/coldaisle") for package in packages} == roots()
    for listed in (
        tool["hatch"]["build"]["dev-mode-dirs"],
        tool["ruff"]["src"],
        tool["mypy"]["mypy_path"],
        tool["mypy"]["files"],
        tool["pyright"]["extraPaths"],
    ):
        assert set(listed) == roots()
    names = {"coldaisle." + ("v1" if root == "proto" else root) for root in roots()}
    assert set(tool["importlinter"]["root_packages"]) == names


def test_only_the_store_may_wait_in_the_core() -> None:
    """The contract must name every package of the core but the store."""
    contract = next(c for c in PYPROJECT["tool"]["importlinter"]["contracts"] if "waits" in c["name"])
    core = importlib.import_module("coldaisle.core")
    found = {f"coldaisle.core.{m.name}" for m in pkgutil.iter_modules(core.__path__) if m.name != "store"}
    assert set(contract["source_modules"]) == found


def test_the_lock_file_names_no_host() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_no_file_names_a_place_on_somebody_s_machine() -> None:
    pattern = re.compile(r"""["' (=]/(work|farm|root|home)/""")
    sources = [*ROOT.glob("*/coldaisle/**/*.py"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")]
    assert not [str(path) for path in sources if pattern.search(path.read_text())]


def test_links_in_the_documents_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_the_verifier_of_exports_can_be_read_in_one_sitting() -> None:
    """Whoever doubts us reads it before running it."""
    lines = (ROOT / "tools" / "verify_export.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) < 150
    assert not any("coldaisle" in line for line in lines if line.startswith(("import", "from")))
