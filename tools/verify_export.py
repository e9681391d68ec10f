#!/usr/bin/env python3
"""Verifies an export of a Coldaisle history. Needs Python 3.9 or newer and nothing else.

    python verify_export.py FOLDER [--public-key HEX_OR_FILE] [--chain-key FILE]

Always: each event against its digest, the digests against the chain's batches, nothing missing or added,
the signatures. --public-key: that the signer is who you think, and not a forger with a key of his own.
--chain-key: the keyed hashes that join the batches, and that it was retention that removed events.
Exit code 0: all of it holds. 8: it does not, and the line says where. 2: wrong usage.
"""

import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

P = 2**255 - 19  # Ed25519, RFC 8032: the field, the group's order, the curve's constant, a root of -1
ORDER = 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)


def need(holds, says):
    if not holds:
        sys.exit(print(f"BROKEN: {says}") or 8)


def point(raw):
    """The point that 32 bytes stand for: y, and the sign of x."""
    sign, y = divmod(int.from_bytes(raw, "little"), 2**255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT % P
    need(x * x % P == square and (x or not sign) and y < P, "a key or a signature is not on the curve")
    return (P - x if x & 1 != sign else x), y


def add(a, b):
    cross = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + cross, -1, P)
    return x % P, (a[1] * b[1] + a[0] * b[0]) * pow(1 - cross, -1, P) % P


def times(scalar, a):
    half = times(scalar >> 1, add(a, a)) if scalar else (0, 1)
    return add(half, a) if scalar & 1 else half


def signed(public, text, signature):
    a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % ORDER
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    return len(signature) == 64 and s < ORDER and times(s, base) == add(r, times(h, a))


def prefixed(fields):
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def digest(event):
    numbers = (event[name] for name in ("position", "version", "schema", "time", "recorded"))
    ids = (event["id"].replace("-", ""), event["correlation_id"] or "", event["causation_id"] or "")
    fields = [*(event[name].encode() for name in ("stream", "type", "actor")), *map(bytes.fromhex, ids)]
    data = bytes.fromhex(event["data_hex"]) if "data_hex" in event else event["data"].encode()
    header = struct.pack(">BqqIqq", 1, *numbers) + prefixed(fields) + hashlib.sha256(data).digest()
    return hashlib.sha256(header).digest()


def verify_events(folder, manifest, batches):
    digests, whole = {}, hashlib.sha256()
    for last, _, joined in batches:
        first = last - len(joined) // 32 + 1
        need(next(reversed(digests), first - 1) == first - 1, f"no batch holds position {first - 1}")
        digests.update((first + n, joined[32 * n : 32 * n + 32]) for n in range(len(joined) // 32))
    positions = range(manifest["first_position"], manifest["last_position"] + 1)
    due = (position for position in positions if str(position) not in manifest["removed"])
    with (folder / "events.jsonl").open("rb") as lines:
        for number, line in enumerate(lines, 1):
            whole.update(line)
            event, position = json.loads(line), next(due, None)
            need(event["position"] == position, f"line {number}: {event['position']}, due was {position}")
            need(digest(event) == digests.get(position), f"position {position}: not what was appended")
    need((left := next(due, None)) is None, f"position {left}: the event is missing")
    need(whole.hexdigest() == manifest["events_sha256"], "events.jsonl is not the file that was signed")
    return digests


def verify_signatures(manifest, trusted):
    public, checkpoint = bytes.fromhex(manifest["public_key"]), manifest["checkpoint"]
    need(trusted is None or public in trusted, f"signed with {public.hex()}, which is not the key given")
    signature = bytes.fromhex(manifest.pop("signature"))  # it is over the rest
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    need(signed(public, text, signature), "the manifest's signature does not hold")
    names = ("format", "store", "position", "chain_hash", "time", "key_id")
    text = "".join(f"{checkpoint[name]}\n" for name in names).encode()
    need(
        signed(public, text, bytes.fromhex(checkpoint["signature"])), "the checkpoint's signature is another"
    )
    end = [manifest["store"], manifest["batches"][-1]["last_position"], manifest["chain_after"]]
    need([checkpoint[name] for name in names[1:4]] == end, "the checkpoint is elsewhere")


def verify_chain(manifest, batches, digests, keys):
    current, begun = bytes.fromhex(manifest["chain_before"]), batches[0][0] - len(batches[0][2]) // 32
    algorithm, store = manifest["algorithm"].encode(), bytes.fromhex(manifest["store"])
    for last, stored, joined in batches:
        for name, start in (e for e in manifest["epochs"] if e[1] <= last - len(joined) // 32 + 1):
            need(name in keys, f"the chain's key {name} is not in the file given")
            if start > begun:
                fields = (algorithm, name.encode(), store, start.to_bytes(8, "big"), current)
                current = hmac.new(keys[name], b"epoch" + prefixed(fields), "sha256").digest()
            key = keys[name]
        current, begun = hmac.new(key, current + joined, "sha256").digest(), last
        need(current == stored, f"the keyed hash of the batch up to {last} does not hold")
    for position, seal in manifest["removed"].items():
        text = int(position).to_bytes(8, "big") + digests[int(position)]
        sealed = (hmac.new(keys[k], how + text, "sha256") for k in keys for how in (b"removed", b"archived"))
        need(seal in (each.hexdigest() for each in sealed), f"position {position}: not removed by retention")


def main(folder, public_key=None, chain_key=None):
    manifest = json.loads((folder / "manifest.json").read_text("ascii"))
    need(manifest["format"] == "coldaisle-export-1", f"format {manifest['format']!r} is not known here")
    raw = [(b["last_position"], b["hash"], b["digests"]) for b in manifest["batches"]]
    batches = [(last, bytes.fromhex(stored), bytes.fromhex(digests)) for last, stored, digests in raw]
    need(batches[-1][1].hex() == manifest["chain_after"], "chain_after is not the hash of the last batch")
    digests = verify_events(folder, manifest, batches)
    text = Path(public_key).read_text("ascii") if public_key and Path(public_key).exists() else public_key
    trusted = text and [bytes.fromhex(line.split()[-1]) for line in text.splitlines() if line]
    verify_signatures(manifest, trusted)
    if chain_key:
        lines = [line.split() for line in Path(chain_key).read_text("ascii").splitlines() if line]
        verify_chain(manifest, batches, digests, {line[0]: bytes.fromhex(line[1]) for line in lines})
    print(f"holds: {manifest['first_position']} to {manifest['last_position']} of store {manifest['store']}")
    print(f"removed by retention: {len(manifest['removed'])} events", "" if chain_key else "(not verified)")
    print(f"signer: {manifest['public_key']}", "" if public_key else "(the export's own: NOT yet trusted)")
    print("keyed chain:", "holds" if chain_key else "not verified, no --chain-key given")


if __name__ == "__main__":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2]))  # noqa: B905 - Python 3.9 has no strict
    if len(sys.argv) % 2 or options.keys() - {"--public-key", "--chain-key"}:
        sys.exit(print(__doc__) or 2)
    try:
        main(Path(sys.argv[1]), options.get("--public-key"), options.get("--chain-key"))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        sys.exit(print(f"BROKEN: not readable as an export: {type(error).__name__}: {error}") or 8)
