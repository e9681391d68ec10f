"""``coldaisle completion``: completion for the shell."""

import click


@click.command(short_help="Print a shell completion script.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    coldaisle completion bash > /etc/bash_completion.d/coldaisle
    coldaisle completion fish > ~/.config/fish/completions/coldaisle.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, shell
    script = found(context.find_root().command, {}, "coldaisle", "_COLDAISLE_COMPLETE")
    click.echo(script.source_template % script.source_vars())
