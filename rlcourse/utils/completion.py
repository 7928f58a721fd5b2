"""Completion of the command `rlcourse` by the Tab key, as a script for bash or zsh.

The script holds all that it needs, so completing starts no Python.
"""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout, suppress

from rlcourse.utils.envs import newest

SCRIPT = """\
# Completion of rlcourse, for bash and zsh.
if [ -n "$ZSH_VERSION" ]; then
    autoload -Uz compinit bashcompinit && compinit -i && bashcompinit
fi
_rlcourse() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$COMP_CWORD" = 1 ]; then
        words="{names}"
    elif [[ "$word" != -* ]]; then
        [[ "$before" = --env || "$before" = check ]] && words="{envs}"
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _rlcourse rlcourse  # files and folders where there is nothing else
"""


def script(commands: dict[str, Callable]) -> str:
    """Commands, the flags that the help of each one lists, and the ids of environments."""
    cases = [
        f'            {name}) words="{" ".join(flags(name, commands))}";;' for name in commands
    ]
    envs = sorted(f"{name}-v{version}" for name, version in newest().items())
    return SCRIPT.format(cases="\n".join(cases), names=" ".join(commands), envs=" ".join(envs))


def flags(name: str, commands: dict[str, Callable]) -> list[str]:
    """The long flags in a command's help."""
    text = io.StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        commands[name](name, ["--help"])
    return re.findall(r"^ +(?:-\w, )?(--[\w-]+)", text.getvalue(), re.MULTILINE)
