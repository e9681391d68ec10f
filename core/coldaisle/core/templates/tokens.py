"""A log message as words and wildcards: what varies from line to line is masked before lines are compared.

One set of rules for all programs. A word that holds a digit, an address, a path or a name of a day or month
varies; so does what follows ``key=``. Wildcards in a row are one, a unit belongs to its number, and a remark
in parentheses that holds nothing but a wildcard is left out. Each word is looked at once and remembered.
"""

import re
from itertools import islice

WILDCARD = "<*>"
MARK = "\0"
"""Begins a piece that varies; the rest of the piece is its text."""

MAX_TOKENS = 256
MAX_MESSAGE_CHARACTERS = 8_192
MAX_REMEMBERED_WORDS = 65_536
_MAX_REMEMBERED_WORD_CHARACTERS = 200

_SPLIT = re.compile(r"([=:,()\[\]])")
_PUNCTUATION = ",.;()[]<>\"'"
_CALENDAR = frozenset({
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
})  # fmt: skip
_UNITS = frozenset({
    "B", "KB", "MB", "GB", "TB", "kB", "KiB", "MiB", "GiB", "ns", "us", "ms", "s", "sec", "secs", "min",
})  # fmt: skip
_HEX_GROUPS = re.compile(r"(?:[0-9a-fA-F]{1,4}:+){2,}[0-9a-fA-F]{0,4}")  # MAC and IPv6 addresses
_HOST_PORT = re.compile(r"[\w-]*\.[\w.-]*:\d+\Z")
_HEX_WORD = re.compile(r"(?:0x)?[0-9a-fA-F]{8,}\Z")
_KEY = re.compile(r"([A-Za-z_]{1,40})=")
_DIGIT = re.compile(r"\d")
_DOTTED_ORIGIN = re.compile(r"[A-Za-z][\w-]*\.[\w-]+\.[\w.-]*:?\Z")


class Tokenizer:
    """Cuts messages into pieces. It remembers words, and that changes nothing but its speed."""

    def __init__(self) -> None:
        self._words: dict[str, tuple[str, ...]] = {}

    def pieces(self, message: str) -> list[str]:
        """Constant words as they are, varying ones after MARK; at most MAX_TOKENS."""
        words = message[:MAX_MESSAGE_CHARACTERS].replace(MARK, " ").split()
        found: list[str] = []
        if words and "." in words[0] and _DOTTED_ORIGIN.match(words[0]):
            found.append(MARK + words[0])  # who speaks, not what is said
            del words[0]
        for word in words:
            known = self._words.get(word)
            for piece in self._cut(word) if known is None else known:
                if len(piece) == 1 or (found and found[-1][0] == MARK):
                    _join(found, piece)
                else:
                    found.append(piece)
            if len(found) > MAX_TOKENS:
                break
        return found[:MAX_TOKENS]

    def _cut(self, word: str) -> tuple[str, ...]:
        pieces = _cut(word)
        if len(word) <= _MAX_REMEMBERED_WORD_CHARACTERS:
            if len(self._words) >= MAX_REMEMBERED_WORDS:
                self._words.clear()
            self._words[word] = pieces
        return pieces


def masked(pieces: list[str]) -> tuple[str, ...]:
    """The pieces with a wildcard for each that varies."""
    return tuple([WILDCARD if piece[0] == MARK else piece for piece in pieces])


def parameters(template: tuple[str, ...], pieces: list[str]) -> tuple[str, ...]:
    """What stands in the pieces where the template, of the same length, has wildcards."""
    return tuple(
        piece.removeprefix(MARK)
        for token, piece in zip(template, pieces, strict=True)
        if token == WILDCARD
    )  # fmt: skip


def _cut(word: str) -> tuple[str, ...]:
    core = word.strip(_PUNCTUATION)
    if _HOST_PORT.match(core) or _HEX_GROUPS.match(core):
        return (MARK + word,)
    if word.count("/") > 1 or "\\" in word:
        key = _KEY.match(word)
        return (key[1], "=", MARK + word[key.end() :]) if key else (MARK + word,)
    parts = [part for part in _SPLIT.split(word) if part]
    pieces: list[str] = []
    for part, following in zip(parts, [*islice(parts, 1, None), ""], strict=True):
        pieces.append(MARK + part if _varies(part) else part)
        if part == "=" and following in ("", ",", ")"):
            pieces.append(MARK)  # an empty value is a value
    return _merged(pieces)


def _merged(pieces: list[str]) -> tuple[str, ...]:
    """``12:30:05`` and ``7,5`` are one value each, not three."""
    merged: list[str] = []
    for piece in pieces:
        if piece[0] == MARK and len(merged) > 1 and merged[-1] in ":," and merged[-2][0] == MARK:
            merged[-2:] = [merged[-2] + merged[-1] + piece.removeprefix(MARK)]
        else:
            merged.append(piece)
    return tuple(merged)


def _varies(part: str) -> bool:
    return bool(_DIGIT.search(part)) or part in _CALENDAR or bool(_HEX_WORD.match(part))


def _join(found: list[str], piece: str) -> None:
    """Append the piece, or make it part of what stands before it."""
    last = found[-1] if found else ""
    before = found[-2] if len(found) > 1 else ""
    if piece == ")" and last[:1] in (MARK, "(") and "(" in (last, before):
        _drop_remark(found)
    elif last[:1] == MARK and (piece[0] == MARK or piece in _UNITS):
        found[-1] = f"{last} {piece.removeprefix(MARK)}"
    else:
        found.append(piece)


def _drop_remark(found: list[str]) -> None:
    """Take ``( <*>`` or ``(`` off the end; its text stays with the wildcard before it, if there is one."""
    text = ""
    while (piece := found.pop()) != "(":
        text = piece.removeprefix(MARK)
    if text and found and found[-1][0] == MARK:
        found[-1] += f" ({text})"
