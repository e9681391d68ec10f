#!/usr/bin/env python3
"""Verifies an export of a Coldaisle history. Needs Python 3.9 or newer and nothing else.

    python verify_export.py FOLDER [--public-key HEX_OR_FILE] [--chain-key FILE]

Always: every event against its digest, the digests against the chain's batches, nothing missing or added, the
Ed25519 signatures of manifest and checkpoint. --public-key: that the signer is who you think; without it a
forger may have signed with a key of his own. --chain-key: the keyed hashes that join the batches, too.
Exit code 0: all of it holds. 8: it does not, and the line says where. 2: wrong usage.
"""

import hashlib
import hmac
import json
import struct
import sys
import uuid
from pathlib import Path

P = 2**255 - 19  # Ed25519, RFC 8032: the field, the group's order, the curve's constant, a root of -1
ORDER = 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)


class Broken(Exception):  # noqa: N818 - named for the situation
    """Raised with what does not hold."""


def need(holds, says):
    if not holds:
        raise Broken(says)


def point(raw):
    """The point that 32 bytes stand for: y, and the sign of x."""
    number = int.from_bytes(raw, "little")
    y, sign = number & (2**255 - 1), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT % P
    if x * x % P != square or (x == 0 and sign) or y >= P:
        raise ValueError("not on the curve")
    return (P - x if x & 1 != sign else x), y


def add(a, b):
    cross = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + cross, -1, P)
    return x % P, (a[1] * b[1] + a[0] * b[0]) * pow(1 - cross, -1, P) % P


def times(scalar, a):
    total = (0, 1)
    while scalar:
        total = add(total, a) if scalar & 1 else total
        a, scalar = add(a, a), scalar >> 1
    return total


def signed(public, text, signature):
    """Whether the Ed25519 signature holds."""
    try:
        a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    except ValueError:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % ORDER
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    return len(signature) == 64 and s < ORDER and times(s, base) == add(r, times(h, a))


def prefixed(field):
    return len(field).to_bytes(4, "big") + field


def digest(event):
    numbers = (event[name] for name in ("position", "version", "schema", "time", "recorded"))
    fields = [event[name].encode() for name in ("stream", "type", "actor")] + [uuid.UUID(event["id"]).bytes]
    fields += [bytes.fromhex(event[name] or "") for name in ("correlation_id", "causation_id")]
    data = bytes.fromhex(event["data_hex"]) if "data_hex" in event else event["data"].encode()
    header = struct.pack(">BqqIqq", 1, *numbers) + b"".join(map(prefixed, fields))
    return hashlib.sha256(header + hashlib.sha256(data).digest()).digest()


def digests_by_position(batches):
    found, end = {}, None
    for last, _, joined in batches:
        first = last - len(joined) // 32 + 1
        need(end in (None, first - 1), f"no batch holds position {end and end + 1}")
        found.update((first + n, joined[32 * n : 32 * n + 32]) for n in range(len(joined) // 32))
        end = last
    return found


def verify_events(folder, manifest, digests):
    removed, whole = set(manifest["removed"]), hashlib.sha256()
    due = iter(sorted(set(range(manifest["first_position"], manifest["last_position"] + 1)) - removed))
    with (folder / "events.jsonl").open("rb") as lines:
        for number, line in enumerate(lines, 1):
            whole.update(line)
            event, position = json.loads(line), next(due, None)
            there = event["position"]
            need(there == position, f"line {number}: position {there}, due was {position}")
            need(digest(event) == digests.get(position), f"position {position}: not what was appended")
    need((left := next(due, None)) is None, f"position {left}: the event is missing")
    need(whole.hexdigest() == manifest["events_sha256"], "events.jsonl is not the file that was signed")


def verify_signatures(manifest, trusted):
    public, checkpoint = bytes.fromhex(manifest["public_key"]), manifest["checkpoint"]
    need(trusted is None or public in trusted, f"signed with {public.hex()}, which is not the key given")
    content = {name: value for name, value in manifest.items() if name != "signature"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    holds = signed(public, text, bytes.fromhex(manifest["signature"]))
    need(holds, "the manifest's signature does not hold")
    names = ("format", "store", "position", "chain_hash", "time", "key_id")
    text = "".join(f"{checkpoint[name]}\n" for name in names).encode()
    holds = signed(public, text, bytes.fromhex(checkpoint["signature"]))
    need(holds, "the checkpoint's signature does not hold")
    end = [manifest["store"], manifest["batches"][-1]["last_position"], manifest["chain_after"]]
    need([checkpoint[name] for name in names[1:4]] == end, "the checkpoint is elsewhere")


def verify_chain(manifest, batches, keys):
    current, begun = bytes.fromhex(manifest["chain_before"]), batches[0][0] - len(batches[0][2]) // 32
    identity = (manifest["algorithm"].encode(), bytes.fromhex(manifest["store"]))
    for last, stored, digests in batches:
        for name, start in manifest["epochs"]:
            if start > last - len(digests) // 32 + 1:
                continue
            need(name in keys, f"the chain's key {name} is not in the file given")
            if start > begun:
                fields = (identity[0], name.encode(), identity[1], start.to_bytes(8, "big"), current)
                text = b"epoch" + b"".join(map(prefixed, fields))
                current = hmac.new(keys[name], text, "sha256").digest()
            key = keys[name]
        current, begun = hmac.new(key, current + digests, "sha256").digest(), last
        need(current == stored, f"the keyed hash of the batch up to {last} does not hold")


def main(folder, public_key=None, chain_key=None):
    manifest = json.loads((folder / "manifest.json").read_text("ascii"))
    need(manifest["format"] == "coldaisle-export-1", f"format {manifest['format']!r} is not known here")
    raw = [(b["last_position"], b["hash"], b["digests"]) for b in manifest["batches"]]
    batches = [(last, bytes.fromhex(stored), bytes.fromhex(digests)) for last, stored, digests in raw]
    need(raw[-1][1] == manifest["chain_after"], "chain_after is not the hash of the last batch")
    if public_key:
        text = Path(public_key).read_text("ascii") if Path(public_key).exists() else public_key
        public_key = [bytes.fromhex(line.split()[-1]) for line in text.splitlines() if line.strip()]
    verify_events(folder, manifest, digests_by_position(batches))
    verify_signatures(manifest, public_key)
    if chain_key:
        lines = [line.split() for line in Path(chain_key).read_text("ascii").splitlines() if line]
        verify_chain(manifest, batches, {line[0]: bytes.fromhex(line[1]) for line in lines})
    print(f"holds: positions {manifest['first_position']} to {manifest['last_position']}")
    note = "" if public_key else " (taken from the export itself: NOT yet trusted)"
    print(f"store: {manifest['store']}\nsigner: {manifest['public_key']}{note}")
    print("keyed chain: " + ("holds" if chain_key else "not verified, no --chain-key given"))


if __name__ == "__main__":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2]))  # noqa: B905 - Python 3.9 has no strict
    if len(sys.argv) % 2 or options.keys() - {"--public-key", "--chain-key"}:
        sys.exit(print(__doc__) or 2)
    try:
        main(Path(sys.argv[1]), options.get("--public-key"), options.get("--chain-key"))
    except Broken as broken:
        sys.exit(print(f"BROKEN: {broken}") or 8)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        sys.exit(print(f"BROKEN: not readable as an export: {type(error).__name__}: {error}") or 8)
