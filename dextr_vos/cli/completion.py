"""`dextr-vos completion`: the script that completes commands and options in a shell."""

import rich_click as click


@click.command(short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL")
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and files of dextr-vos in SHELL.

    bash: add eval "$(dextr-vos completion bash)" to ~/.bashrc.

    zsh: add eval "$(dextr-vos completion zsh)" to ~/.zshrc, after compinit.

    fish: dextr-vos completion fish > ~/.config/fish/completions/dextr-vos.fish
    """
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(context.find_root().command, {}, "dextr-vos", "_DEXTR_VOS_COMPLETE").source())
