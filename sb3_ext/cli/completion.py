"""``sb3-ext completion``: complete commands, options and their values in a shell."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")

_COMPLETE_VARIABLE = "_SB3_EXT_COMPLETE"  # click derives it from the program's name
_BASH_END = "    return 0\n"
# The user types a value after "=", the rest of a path after "/", and that of a key after ".".
_NO_SPACE = "    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *[=/.] ]] && compopt -o nospace\n"


@click.command(
    short_help="Print the script that completes commands in a shell.",
    epilog='bash: add eval "$(sb3-ext completion bash)" to ~/.bashrc. zsh: the same with zsh, in ~/.zshrc after '
    "compinit. fish: sb3-ext completion fish > ~/.config/fish/completions/sb3-ext.fish",
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """
    Print the script with which SHELL completes sub-commands, options, configurations, runs, checkpoints and keys.

    Bash needs version 4.4 or later.
    """
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None
    program = click.get_current_context().find_root()
    script = complete(program.command, {}, str(program.info_name), _COMPLETE_VARIABLE).source()
    if shell == "bash":
        script = script.replace(_BASH_END, _NO_SPACE + _BASH_END)
    click.echo(script, nl=False)
