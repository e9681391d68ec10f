"""``coldaisle history keys``: the keys of the chain, of signatures and of the encrypted file."""

from pathlib import Path

import click

from coldaisle.server.store_options import (
    CHAIN_KEY_FILE,
    DEFAULT_DATA,
    STORE_FILE,
    key,
    progress,
    store_key,
    told,
)

SIGNING_KEY_FILE = "signing.key"
PUBLIC_KEYS_FILE = "signing.pub"
STORE_KEY_FILE = "store.key"

_data = click.option(
    "--data", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", default=DEFAULT_DATA,
    show_default=True, help="The folder of the server: its keys are beside its store.",
)  # fmt: skip
_file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def keys() -> None:
    """Make, change and show the keys; their files are readable by their owner only.

    \b
    chain.key    secret, joins the appends; keep a copy elsewhere, or nobody can verify
    signing.key  secret, signs checkpoints and exports
    signing.pub  public, verifies them; give it away

    \b
    A rotation keeps what is needed to verify the past. Losing chain.key loses the proof and
    stops appends; having it stolen lets the thief rewrite what no checkpoint holds.
    """


@keys.command("new")
@_data
@click.option("--store", is_flag=True, help="Also make a key to encrypt a store with: DIR/store.key.")
@told
def new(folder: Path, store: bool) -> None:
    """Make the keys that are not there yet; what is there stays.

    \b
    A store is encrypted with its key by `keys rotate --store DIR/store.key`.
    """
    from coldaisle.core.store.chain_keys import add_chain_key, write_whole
    from coldaisle.core.store.checkpoints import add_signing_key
    from coldaisle.core.store.cipher import new_store_key

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CHAIN_KEY_FILE).exists():
        click.echo(f"chain key    {add_chain_key(folder / CHAIN_KEY_FILE)}")
    if not (folder / SIGNING_KEY_FILE).exists():
        made = add_signing_key(folder / SIGNING_KEY_FILE, folder / PUBLIC_KEYS_FILE)
        click.echo(f"signing key  {made.id}  public {made.public.hex()}")
    if store and not (folder / STORE_KEY_FILE).exists():
        write_whole(folder / STORE_KEY_FILE, f"{new_store_key().hex}\n".encode())
        click.echo(f"store key    in {folder / STORE_KEY_FILE}; move it off the store's disk")


@keys.command("rotate")
@_data
@click.option("--chain", is_flag=True, help="A new key of the chain; in force from the server's next start.")
@click.option("--signing", is_flag=True, help="A new signing key; in force at once.")
@click.option("--store", type=_file, metavar="FILE",
              help="Encrypt the store anew with the key in FILE; the server must be stopped.")  # fmt: skip
@key
@told
def rotate(folder: Path, chain: bool, signing: bool, store: Path | None, key_file: Path | None) -> None:
    """Put new keys in force; old ones go on verifying what was made with them.

    \b
    Examples:
      coldaisle history keys rotate --chain --signing
      coldaisle history keys rotate --store new.key --key-file old.key
    """
    from coldaisle.core.store.chain_keys import add_chain_key, load_chain_keys
    from coldaisle.core.store.checkpoints import add_signing_key
    from coldaisle.core.store.cipher import load_store_key
    from coldaisle.core.store.rekey import rekey_store

    if not (chain or signing or store):
        raise click.UsageError("name what to rotate: --chain, --signing or --store FILE")
    if store is not None:
        rekey_store(folder / STORE_FILE, store_key(key_file), load_store_key(store), progress("written"))
        click.echo(f"store        encrypted with the key in {store}")
    if chain:
        load_chain_keys(folder / CHAIN_KEY_FILE)  # there must be one to go on from
        click.echo(f"chain key    {add_chain_key(folder / CHAIN_KEY_FILE)}; restart the server")
    if signing:
        made = add_signing_key(folder / SIGNING_KEY_FILE, folder / PUBLIC_KEYS_FILE)
        click.echo(f"signing key  {made.id}  public {made.public.hex()}")


@keys.command("show")
@_data
@told
def show(folder: Path) -> None:
    """Show ids and public keys; never a secret."""
    from coldaisle.core.store.chain_keys import load_chain_keys
    from coldaisle.core.store.checkpoints import load_public_keys

    chain = load_chain_keys(folder / CHAIN_KEY_FILE)
    for each in chain.ids:
        click.echo(f"chain key    {each}{'  in force' if each == chain.current else ''}")
    for name, public in load_public_keys(folder / PUBLIC_KEYS_FILE).items():
        click.echo(f"signing key  {name}  public {public.hex()}")
