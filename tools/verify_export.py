#!/usr/bin/env python3
"""Verifies an export of a Coldaisle history. Needs Python 3.9 or newer and nothing else.

    python verify_export.py FOLDER [--public-key HEX_OR_FILE] [--chain-key FILE]

What is verified:
  always            every event against its digest, the digests against the chain's batches, no event missing,
                    none added, and the Ed25519 signatures of manifest and checkpoint
  --public-key      that the signer is who you think: give the key (64 digits, or the file signing.pub) as you
                    got it from its owner. Without it, a forger may have signed with a key of his own.
  --chain-key       the keyed hashes (HMAC-SHA256) that join the batches, with the chain's secret key file

Exit code 0: all of it holds. 8: it does not, and the first line says where. 2: wrong usage.
"""

import hashlib
import hmac
import json
import struct
import sys
import uuid
from pathlib import Path

P = 2**255 - 19  # Ed25519, RFC 8032: the field, the group's order, the curve's constant
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


class Broken(Exception):  # noqa: N818 - named for the situation
    """Raised with what does not hold."""


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign) or y >= P:
        raise ValueError("not on the curve")
    return P - x if x & 1 != sign else x


def point(raw):
    number = int.from_bytes(raw, "little")
    y, sign = number & (2**255 - 1), number >> 255
    x = recover_x(y, sign)
    return (x, y, 1, x * y % P)


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return ((f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P)


def times(scalar, a):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, a)
        a, scalar = add(a, a), scalar >> 1
    return total


def signed(public, text, signature):
    """Whether the Ed25519 signature holds."""
    try:
        a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    except ValueError:
        return False
    if len(signature) != 64 or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % ORDER
    by = 4 * pow(5, P - 2, P) % P
    bx = recover_x(by, 0)
    left, right = times(s, (bx, by, 1, bx * by % P)), add(r, times(h, a))
    return not (
        (left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P
    )


def prefixed(field):
    return len(field).to_bytes(4, "big") + field


def digest(event):
    numbers = struct.pack(
        ">BqqIqq", 1, *(event[k] for k in ("position", "version", "schema", "time", "recorded"))
    )
    texts = [event[k].encode() for k in ("stream", "type", "actor")]
    ids = [
        uuid.UUID(event["id"]).bytes,
        *(bytes.fromhex(event[k] or "") for k in ("correlation_id", "causation_id")),
    ]
    data = bytes.fromhex(event["data_hex"]) if "data_hex" in event else event["data"].encode()
    fields = b"".join(map(prefixed, texts + ids))
    return hashlib.sha256(numbers + fields + hashlib.sha256(data).digest()).digest()


def need(holds, says):
    if not holds:
        raise Broken(says)


def verify_events(folder, manifest, digests):
    removed, whole = set(manifest["removed"]), hashlib.sha256()
    due = iter(
        p for p in range(manifest["first_position"], manifest["last_position"] + 1) if p not in removed
    )
    with (folder / "events.jsonl").open("rb") as lines:
        for number, line in enumerate(lines, 1):
            whole.update(line)
            event, position = json.loads(line), next(due, None)
            need(
                event["position"] == position,
                f"line {number}: position {event['position']}, due was {position}",
            )
            need(
                digest(event) == digests.get(position),
                f"position {position}: the event is not what was appended",
            )
    need((left := next(due, None)) is None, f"position {left}: the event is missing")
    need(whole.hexdigest() == manifest["events_sha256"], "events.jsonl is not the file that was signed")


def verify_signatures(manifest, trusted):
    public, checkpoint = bytes.fromhex(manifest["public_key"]), manifest["checkpoint"]
    need(trusted is None or public in trusted, f"signed with {public.hex()}, which is not the key given")
    text = json.dumps(
        {k: v for k, v in manifest.items() if k != "signature"}, sort_keys=True, separators=(",", ":")
    )
    need(
        signed(public, text.encode(), bytes.fromhex(manifest["signature"])),
        "the manifest's signature does not hold",
    )
    names = ("format", "store", "position", "chain_hash", "time", "key_id")
    text = "".join(f"{checkpoint[name]}\n" for name in names).encode()
    need(
        signed(public, text, bytes.fromhex(checkpoint["signature"])),
        "the checkpoint's signature does not hold",
    )
    end = (manifest["store"], manifest["batches"][-1]["last_position"], manifest["chain_after"])
    need(
        (checkpoint["store"], checkpoint["position"], checkpoint["chain_hash"]) == end,
        "the checkpoint is elsewhere",
    )


def verify_chain(manifest, batches, keys):
    current, begun = bytes.fromhex(manifest["chain_before"]), batches[0][0] - len(batches[0][2]) // 32
    for last, stored, digests in batches:
        first = last - len(digests) // 32 + 1
        for name, start in manifest["epochs"]:
            if start <= first:
                need(name in keys, f"the chain's key {name} is not in the file given")
                key = keys[name]
                if start > begun:
                    fields = (manifest["algorithm"].encode(), name.encode(), bytes.fromhex(manifest["store"]))
                    text = b"".join(map(prefixed, (*fields, start.to_bytes(8, "big"), current)))
                    current = hmac.new(key, b"epoch" + text, "sha256").digest()
        current, begun = hmac.new(key, current + digests, "sha256").digest(), last
        need(current == stored, f"the keyed hash of the batch up to {last} does not hold")


def main(arguments):
    folder = Path(arguments[0])
    options = dict(zip(arguments[1::2], arguments[2::2]))  # noqa: B905 - Python 3.9 has no strict
    manifest = json.loads((folder / "manifest.json").read_text("ascii"))
    names = ("last_position", "hash", "digests")
    batches = [
        (b[names[0]], bytes.fromhex(b[names[1]]), bytes.fromhex(b[names[2]])) for b in manifest["batches"]
    ]
    digests, end = {}, None
    for last, _, joined in batches:
        first = last - len(joined) // 32 + 1
        need(end in (None, first - 1), f"no batch holds position {end and end + 1}")
        digests.update((first + n, joined[32 * n : 32 * n + 32]) for n in range(len(joined) // 32))
        end = last
    need(manifest["format"] == "coldaisle-export-1", f"format {manifest['format']!r} is not known here")
    need(batches[-1][1].hex() == manifest["chain_after"], "chain_after is not the hash of the last batch")
    trusted = options.get("--public-key")
    if trusted is not None:
        text = Path(trusted).read_text("ascii") if Path(trusted).exists() else trusted
        trusted = [bytes.fromhex(line.split()[-1]) for line in text.splitlines() if line.strip()]
    verify_events(folder, manifest, digests)
    verify_signatures(manifest, trusted)
    if "--chain-key" in options:
        lines = Path(options["--chain-key"]).read_text("ascii").splitlines()
        verify_chain(
            manifest, batches, {line.split()[0]: bytes.fromhex(line.split()[1]) for line in lines if line}
        )
    print(
        f"holds: positions {manifest['first_position']} to {manifest['last_position']} of {manifest['store']}"
    )
    print(
        f"signer: {manifest['public_key']}"
        + ("" if trusted else " (taken from the export itself: NOT yet trusted)")
    )
    print("keyed chain: " + ("holds" if "--chain-key" in options else "not verified, no --chain-key given"))


if __name__ == "__main__":
    if len(sys.argv) < 2 or len(sys.argv) % 2 or sys.argv[1].startswith("-"):
        sys.exit(print(__doc__) or 2)
    try:
        main(sys.argv[1:])
    except Broken as broken:
        sys.exit(print(f"BROKEN: {broken}") or 8)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        sys.exit(print(f"BROKEN: not readable as an export: {type(error).__name__}: {error}") or 8)
