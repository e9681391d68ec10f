"""Template mining after Drain (He, Zhu, Zheng, Lyu: Drain, ICWS 2017), with one setting for all programs.

A tree leads by program, number of tokens and the first two tokens to a few groups; a line joins the most
similar one or founds a new one. Three departures, each measured on Loghub's sixteen systems: similarity
counts words only, not punctuation and not what is masked in both; a word that stood unchanged for
SETTLED_LINES is what the template says, and another word there founds another group; lines that look equal
once masked go where the first of them went.

Everything is decided by the lines and their order. State is plain data; see ``state`` and ``of``.
"""

from msgspec import Struct

from coldaisle.core.templates.tokens import WILDCARD, Tokenizer, masked, parameters

Tokens = tuple[str, ...]
Leaf = list["Template"]
Tree = dict[str, dict[int, dict[str, dict[str, Leaf]]]]
"""Program, number of tokens, first token, second token."""

MIN_SIMILARITY = 0.7
SETTLED_LINES = 100
MAX_CHILDREN = 100
MAX_TEMPLATES = 5_000
MAX_LEAF_TEMPLATES = 100
MAX_EQUAL_LINES = 10_000


class Template(Struct):
    """A kind of line. ``id`` never changes, ``tokens`` may gain wildcards.

    ``used`` counts lines of all templates up to its last one; ``path`` is where the tree holds it.
    """

    id: str
    program: str
    tokens: Tokens
    path: tuple[str, str]
    lines: int = 0
    used: int = 0

    @property
    def text(self) -> str:
        """For people: tokens with blanks between them."""
        return " ".join(self.tokens)


class Mined(Struct, frozen=True):
    """What became of a line. ``parameters`` stand where the template has wildcards."""

    template: Template
    parameters: Tokens
    is_new: bool = False
    is_generalised: bool = False
    retired: Template | None = None


class DrainState(Struct, frozen=True):
    """All that a miner knows, templates from the oldest to the newest."""

    lines: int
    founded: int
    templates: list[Template]
    equal: list[tuple[str, Tokens, str]]


class Drain:
    """See the module. ``lines`` counts all lines ever taken."""

    def __init__(self) -> None:
        self.lines = 0
        self.templates: dict[str, Template] = {}
        self._founded = 0
        self._tokenizer = Tokenizer()
        self._tree: Tree = {}
        self._equal: dict[tuple[str, Tokens], Template] = {}

    def mine(self, program: str, message: str, may_found: bool = True) -> Mined | None:
        """The template of a line; None where it would need a new one that it may not found."""
        pieces = self._tokenizer.pieces(message)
        tokens = masked(pieces)
        found = self._equal.get((program, tokens))
        if found is not None:
            self._count(found)
            return Mined(found, parameters(found.tokens, pieces))
        joined = self._join(program, tokens) or (self._found(program, tokens) if may_found else None)
        if joined is None:
            return None
        self._remember(program, tokens, joined.template)
        self._count(joined.template)
        return Mined(
            joined.template, parameters(joined.template.tokens, pieces), joined.is_new,
            joined.is_generalised, joined.retired,
        )  # fmt: skip

    def state(self) -> DrainState:
        """What ``of`` makes an equal miner from."""
        equal = [(program, tokens, template.id) for (program, tokens), template in self._equal.items()]
        return DrainState(self.lines, self._founded, list(self.templates.values()), equal)

    @classmethod
    def of(cls, state: DrainState) -> "Drain":
        """The miner that was in this state; raises ValueError when it contradicts itself."""
        drain = cls()
        drain.lines, drain._founded = state.lines, state.founded
        for template in state.templates:
            drain.templates[template.id] = template
            drain._leaf(template.program, len(template.tokens), template.path).append(template)
        for program, tokens, template_id in state.equal:
            if template_id not in drain.templates:
                raise ValueError(f"a line belongs to template {template_id!r}, which is not there")
            drain._equal[program, tokens] = drain.templates[template_id]
        return drain

    def _count(self, template: Template) -> None:
        self.lines += 1
        template.lines += 1
        template.used = self.lines

    def _join(self, program: str, tokens: Tokens) -> Mined | None:
        """The best group that is similar enough, widened to take the line in; the older of two equal."""
        best, best_similarity = None, 0.0
        for template in self._leaf(program, len(tokens), self._path(program, tokens), create=False):
            similarity = _similarity(template, tokens)
            if similarity > best_similarity:
                best, best_similarity = template, similarity
        if best is None or best_similarity < MIN_SIMILARITY:
            return None
        widened = tuple(a if a == b else WILDCARD for a, b in zip(best.tokens, tokens, strict=True))
        is_generalised = widened != best.tokens
        best.tokens = widened
        return Mined(best, (), is_generalised=is_generalised)

    def _found(self, program: str, tokens: Tokens) -> Mined:
        path = self._path(program, tokens)
        leaf = self._leaf(program, len(tokens), path, create=False)
        retired = None
        if len(leaf) >= MAX_LEAF_TEMPLATES or len(self.templates) >= MAX_TEMPLATES:
            crowd = leaf if len(leaf) >= MAX_LEAF_TEMPLATES else self.templates.values()
            retired = min(crowd, key=lambda template: template.used)
            self._retire(retired)
        self._founded += 1
        template = Template(f"t{self._founded}", program, tokens, path)
        self.templates[template.id] = template
        self._leaf(program, len(tokens), path).append(template)
        return Mined(template, (), is_new=True, retired=retired)

    def _path(self, program: str, tokens: Tokens) -> tuple[str, str]:
        """The first two tokens; a wildcard where a level of the tree already branches MAX_CHILDREN times."""
        firsts = self._tree.get(program, {}).get(len(tokens), {})
        first = _branch(firsts, tokens[0] if tokens else "")
        return first, _branch(firsts.get(first, {}), tokens[1] if len(tokens) > 1 else "")

    def _leaf(self, program: str, length: int, path: tuple[str, str], create: bool = True) -> Leaf:
        if not create:
            return self._tree.get(program, {}).get(length, {}).get(path[0], {}).get(path[1], [])
        lengths = self._tree.setdefault(program, {})
        return lengths.setdefault(length, {}).setdefault(path[0], {}).setdefault(path[1], [])

    def _retire(self, template: Template) -> None:
        """Forget it, and every branch of the tree that led to nothing else."""
        del self.templates[template.id]
        self._equal = {key: other for key, other in self._equal.items() if other is not template}
        length, (first, second) = len(template.tokens), template.path
        lengths = self._tree[template.program]
        lengths[length][first][second].remove(template)
        if not lengths[length][first][second]:
            del lengths[length][first][second]
        if not lengths[length][first]:
            del lengths[length][first]
        if not lengths[length]:
            del lengths[length]
        if not lengths:
            del self._tree[template.program]

    def _remember(self, program: str, tokens: Tokens, template: Template) -> None:
        if len(self._equal) >= MAX_EQUAL_LINES:
            self._equal.clear()
        self._equal[program, tokens] = template


def _branch(children: "dict[str, dict[str, Leaf]] | dict[str, Leaf]", token: str) -> str:
    return token if token in children or len(children) < MAX_CHILDREN else WILDCARD


def _similarity(template: Template, tokens: Tokens) -> float:
    """The share of words that are equal; 0 where the line contradicts a settled word."""
    words = equal = 0
    for known, token in zip(template.tokens, tokens, strict=True):
        if known != token:
            if template.lines >= SETTLED_LINES and known != WILDCARD:
                return 0.0
            words += 1
        elif known != WILDCARD and (len(known) > 1 or known.isalnum()):
            words += 1
            equal += 1
    return equal / words if words else 1.0
