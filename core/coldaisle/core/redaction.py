"""Secrets and personal data out of log lines, before a line leaves the host. Pure, total, linear.

What is masked: private keys; the values of passwords, tokens, keys and their like in ``key=value``, JSON,
headers, options and URLs; credentials and tokens that show by their form (AWS, GitHub, GitLab, Slack, Google,
JSON web tokens, password hashes); e-mail addresses; IP addresses where that is asked for; and what an
operator's own patterns match. It prefers masking too much: a value without quotes ends at a blank.

Limits: a secret that nothing announces and that has no form of its own is not seen. Patterns here have no
nested repetition, and each begins at something rare, so that no text takes more than linear time.
"""

import re
from collections.abc import Callable, Sequence

from coldaisle.core.errors import ConfigError

MASK = "[masked]"
MAX_PATTERNS = 50
MAX_PATTERN_CHARACTERS = 500

_NAMES = (
    "password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "credential", "community",
    "api_key", "api-key", "apikey", "access_key", "access-key", "accesskey", "private_key", "private-key",
    "privatekey", "auth_key", "authkey", "encryption_key", "signing_key", "session_id", "sessionid",
    "signature", "sig=", "authorization",
)  # fmt: skip
# sudo logs the working directory as PWD=/…, and sig is too short to be a name but before "="
_NAME = "|".join({"pwd": "pwd(?!=/)", "sig=": "sig(?==)"}.get(name, name) for name in _NAMES)
_QUOTED = r"""(?:\\"[^"]*"?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)"""
_VALUE = rf"""(?:{_QUOTED}|[^\s"'\\]\S*)"""
_SCHEME = r"(?:(?:basic|bearer|digest|negotiate|token)\s{1,3})?"
_NAMED = re.compile(
    rf"((?:{_NAME})[\w-]{{0,20}}[\\\"']{{0,3}}\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}{_SCHEME}){_VALUE}",
    re.IGNORECASE | re.DOTALL,
)
_SAID = re.compile(
    rf"((?:{_NAME})\s{{1,3}}(?:(?:is|was|string)\s{{1,3}})?){_QUOTED}", re.IGNORECASE | re.DOTALL
)
_OPTION = re.compile(
    r"(--?(?:[a-z]{1,20}-){0,3}(?:password|passwd|passphrase|secret|token|api-?key)\s{1,3})"
    rf"(?!-){_VALUE}",
    re.IGNORECASE | re.DOTALL,
)
_COOKIE = re.compile(r"((?:^|[^\w-])(?:set-)?cookie:\s{0,3})\S.*", re.IGNORECASE | re.DOTALL)
_BEARER = re.compile(r"\b(bearer\s{1,3})[\w.~+/=-]{16,}", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,100}):[^\s/@]{1,200}@")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
_KEY_MATERIAL = re.compile(r"\s*[A-Za-z0-9+/]{40,}={0,2}\s*\Z")
_FORMS = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_\w{30,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abeprs]-[\w-]{10,}|AIza[\w-]{30,}|sk_(?:live|test)_\w{16,}|eyJ[\w-]{8,}\.[\w-]{4,}\.?[\w-]*"
    r"|\$(?:[1256]|2[abxy]|y|argon2id?)\$[\w./$=,+-]{20,})"
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-fA-F:]{0,39}::|(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F])[0-9a-fA-F:]{2,39}(?![\w:])"
)

Replace = Callable[[str], str]


class Redactor:
    """Masks one line after the other.

    ``patterns`` are the operator's own, in RE2's syntax, which cannot be made to run long; raises
    ConfigError for one that does not compile, and when the library for them is not installed.
    """

    def __init__(self, *, addresses: bool = False, patterns: Sequence[str] = ()) -> None:
        self._addresses = addresses
        self._own = _compiled(patterns)

    def redact(self, text: str) -> str:
        """The text with a MASK for each secret; any text at all is fine."""
        lowered = text.lower()
        if "private key" in lowered:
            text = _PRIVATE_KEY.sub(MASK, text)
        if any(name in lowered for name in _NAMES):
            for pattern in (_NAMED, _SAID, _OPTION):
                text = pattern.sub(rf"\1{MASK}", text)
        if "cookie:" in lowered:
            text = _COOKIE.sub(rf"\1{MASK}", text)
        if "bearer" in lowered:
            text = _BEARER.sub(rf"\1{MASK}", text)
        if "@" in text:
            text = _EMAIL.sub(MASK, _URL_PASSWORD.sub(rf"\1:{MASK}@", text))
        text = _FORMS.sub(MASK, text)
        if _KEY_MATERIAL.match(text):
            text = MASK  # a line of a key that was logged line by line
        if self._addresses:
            text = _IPV6.sub(MASK, _IPV4.sub(MASK, text))
        for replace in self._own:
            text = replace(text)
        return text


def _compiled(patterns: Sequence[str]) -> list[Replace]:
    if not patterns:
        return []
    if len(patterns) > MAX_PATTERNS:
        raise ConfigError(f"{len(patterns)} patterns to mask, the bound is {MAX_PATTERNS}: join some with |")
    try:
        import re2
    except ImportError as error:
        raise ConfigError(
            "patterns of your own to mask need the package google-re2: pip install 'coldaisle[masking]'"
        ) from error
    options = re2.Options()
    options.log_errors = False
    return [_replacement(re2, pattern, options) for pattern in patterns]


def _replacement(re2, pattern: str, options: object) -> Replace:  # type: ignore[no-untyped-def] # ships no types
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise ConfigError(
            f"a pattern to mask of {len(pattern)} characters, the bound is {MAX_PATTERN_CHARACTERS}"
        )
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise ConfigError(f"the pattern to mask {pattern!r} is none that RE2 takes: {error}") from error
    return lambda text: str(compiled.sub(MASK, text))
