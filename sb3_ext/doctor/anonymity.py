"""Remove from a report what identifies a person: people paste reports into public issues."""

from __future__ import annotations

import getpass
import os
import re
import socket
from pathlib import Path

from sb3_ext.tracking.redaction import hide_secrets

_HOME_DIRECTORY = re.compile(r"(/home/|/Users/|\\Users\\)[^/\\\s'\":]+")
_SHORTEST_NAME = 3  # a shorter one is part of many words
_COMMON_NAMES = {"root", "user", "ubuntu", "runner", "jovyan", "docker", "python", "localhost"}


def hide_identity(text: str) -> str:
    """
    :param text: any text
    :return: the text with ``~`` instead of the home directory, ``USER`` and ``HOST`` instead of the names of the user
        and of the machine, and ``***`` instead of secrets
    """
    text = hide_secrets(text)
    for home in {str(Path.home()), os.path.realpath(Path.home())}:
        if len(home) > 1:
            text = re.sub(rf"{re.escape(home)}(?=$|[/\\\s'\":,;)])", "~", text)
    text = _HOME_DIRECTORY.sub(r"\1USER", text)
    for name, replacement in ((_find_user(), "USER"), (socket.gethostname(), "HOST")):
        if len(name) >= _SHORTEST_NAME and name.lower() not in _COMMON_NAMES:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", replacement, text)
    return text


def _find_user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may run a user id without a name
        return ""
