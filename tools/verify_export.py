#!/usr/bin/env python3
"""Verifies an export of a Coldaisle history. Needs Python 3.9 or newer and nothing else.

    python verify_export.py FOLDER [--public-key HEX_OR_FILE] [--chain-key FILE]

Always: each event against its digest, nothing missing or added, the signatures. --public-key: the signer
is no forger with a key of his own. --chain-key: the keyed hashes, and that retention took what is gone.
Exit code 0: all of it holds. 8: it does not, and the line says where. 2: wrong usage.
"""

import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # Ed25519 (RFC 8032): field, order
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)  # its curve's constant, a root of -1


def need(holds, says):
    return holds or sys.exit(print(f"BROKEN: {says}") or 8)


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


def batch_of(last_position, hash, digests, emptied_from=None):
    first = emptied_from or last_position - len(digests) // 64 + 1  # emptied: a seal is in the digests' place
    return first, last_position, bytes.fromhex(hash), bytes.fromhex(digests), emptied_from


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
    digests, hashed, number = {}, hashlib.sha256(), 0
    for first, last, _, joined, emptied in batches:
        need(next(reversed(digests), first - 1) == first - 1 < last < first + 2**21, f"a gap before {first}")
        found = (not emptied and joined[n : n + 32] for n in range(0, 32 * (last - first + 1), 32))
        digests.update(enumerate(found, first))
    positions = range(manifest["first_position"], manifest["last_position"] + 1)
    due = (at for at in positions if str(at) not in manifest["removed"] and digests.get(at) is not False)
    with (folder / "events.jsonl").open("rb") as lines:
        for number, line in enumerate(lines, 1):
            hashed.update(line)
            event, position = json.loads(line), next(due, None)
            need(event["position"] == position, f"line {number}: {event['position']}, due was {position}")
            need(digest(event) == digests.get(position), f"position {position}: not what was appended")
    need((left := next(due, None)) is None, f"position {left}: the event is missing")
    need(hashed.hexdigest() == manifest["events_sha256"], "events.jsonl is not the file that was signed")
    return digests, len(positions) - number


def verify_signatures(manifest, trusted):
    public, checkpoint = bytes.fromhex(manifest["public_key"]), manifest["checkpoint"]
    need(trusted is None or public in trusted, f"signed with {public.hex()}, which is not the key given")
    signature = bytes.fromhex(manifest.pop("signature"))  # it is over the rest
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    need(signed(public, text, signature), "the manifest's signature does not hold")
    names = ("format", "store", "position", "chain_hash", "time", "key_id")
    text = "".join(f"{checkpoint[name]}\n" for name in names).encode()
    need(signed(public, text, bytes.fromhex(checkpoint["signature"])), "the checkpoint is signed otherwise")
    end = [manifest["store"], *(manifest["batches"][-1][name] for name in ("last_position", "hash"))]
    need([checkpoint[name] for name in names[1:4]] == end, "the checkpoint is elsewhere")


def verify_chain(manifest, batches, digests, keys):
    current, store = bytes.fromhex(manifest["chain_before"]), bytes.fromhex(manifest["store"])
    for first, last, stored, joined, emptied in batches:
        for name, start in (e for e in manifest["epochs"] if e[1] <= first):
            need(name in keys, f"the chain's key {name} is not in the file given")
            if start == first:
                fields = (manifest["algorithm"].encode(), name.encode(), store, start.to_bytes(8, "big"))
                current = hmac.digest(keys[name], b"epoch" + prefixed((*fields, current)), "sha256")
        sealed = b"emptied" + (b"archived" if joined[32:] else b"removed") + struct.pack(">QQ", first, last)
        text, due = (sealed + current + stored, joined[-32:]) if emptied else (current + joined, stored)
        made = [hmac.digest(key, text, "sha256") for key in (keys.values() if emptied else [keys[name]])]
        need(due in made, f"the keyed hash of the batch up to {last} does not hold")
        current = stored
    for position, seal in manifest["removed"].items():
        tail = int(position).to_bytes(8, "big") + digests[int(position)]
        texts = (b"removed" + tail, b"archived" + tail)
        made = [hmac.digest(key, text, "sha256").hex() for key in keys.values() for text in texts]
        need(seal in made, f"position {position}: not removed by retention")


def main(folder, public_key=None, chain_key=None):
    manifest = json.loads((folder / "manifest.json").read_text("ascii"))
    need(manifest["format"] in ("coldaisle-export-1", "coldaisle-export-2"), "a format not known here")
    batches = [batch_of(**entry) for entry in manifest["batches"]]
    digests, removed = verify_events(folder, manifest, batches)
    text = Path(public_key).read_text("ascii") if public_key and Path(public_key).exists() else public_key
    trusted = text and [bytes.fromhex(line.split()[-1]) for line in text.splitlines() if line]
    verify_signatures(manifest, trusted)
    if chain_key:
        lines = [line.split() for line in Path(chain_key).read_text("ascii").splitlines() if line]
        verify_chain(manifest, batches, digests, {line[0]: bytes.fromhex(line[1]) for line in lines})
    print(f"holds: {manifest['first_position']} to {manifest['last_position']} of store {manifest['store']}")
    print(f"removed by retention: {removed} events", "" if chain_key else "(not verified)")
    print(f"signer: {manifest['public_key']}", "" if public_key else "(the export's own: NOT yet trusted)")
    print("keyed chain:", "holds" if chain_key else "not verified, no --chain-key given")


if __name__ == "__main__":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2]))  # noqa: B905 - Python 3.9 has no strict
    if len(sys.argv) % 2 or options.keys() - {"--public-key", "--chain-key"}:
        sys.exit(print(__doc__) or 2)
    all(len(v) == 64 or Path(v).is_file() or sys.exit(print(f"no key: {v}") or 2) for v in options.values())
    try:
        main(Path(sys.argv[1]), options.get("--public-key"), options.get("--chain-key"))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        sys.exit(print(f"BROKEN: not readable as an export: {type(error).__name__}: {error}") or 8)
