"""Remove secrets and home directories from text that is shown to others."""

from __future__ import annotations

import re
from pathlib import Path

HIDDEN = "***"

_NAMES = r"(?:api_?key|access_?key|private_?key|secret|token|passw(?:or)?d|credential)s?"
_NAME = rf"""["']?[\w.-]*{_NAMES}\w*["']?[ \t]*"""
_LINE = re.compile(rf"^(?P<name>[ \t-]*{_NAME}:[ \t]+)(?P<value>\S.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_ASSIGNMENT = re.compile(
    rf"""(?P<name>(?<![?&\w.-]){_NAME}[:=][ \t]*)(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,}}\]"']+)""",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"(?P<name>--[\w-]*{_NAMES}[\w-]*\s+)(?P<value>[^\s-]\S*)", re.IGNORECASE)
_ACCOUNT = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@:]+(?::[^\s/@]*)?@", re.IGNORECASE)
_QUERY = re.compile(rf"(?P<name>[?&][\w-]*{_NAMES}[\w-]*=)[^\s&\"']+", re.IGNORECASE)
_NO_SECRET = frozenset({"null", "none", "true", "false", "~", "{}", "[]", '""', "''"})


def remove_secrets(text: str) -> str:
    """
    Replace what looks like a secret: values of keys and options such as ``api_key``, and accounts in URLs.

    :param text: a configuration, or a command
    :return: the text with ``***`` in place of them
    """
    for pattern in (_LINE, _ASSIGNMENT, _OPTION):
        text = pattern.sub(lambda match: f"{match['name']}{_hide(match['value'])}", text)
    text = _ACCOUNT.sub(rf"\g<scheme>{HIDDEN}@", text)
    return _QUERY.sub(rf"\g<name>{HIDDEN}", text)


def shorten_home(text: str, home: Path | None = None) -> str:
    """
    :param text: any text
    :param home: the home directory; ``None`` for that of the user
    :return: the text with ``~`` in place of it
    """
    own = str(home or Path.home()).rstrip("/")
    return re.sub(rf"{re.escape(own)}(?=/|$|[\s\"':,])", "~", text) if own else text


def make_public(text: str) -> str:
    """
    :param text: any text
    :return: the text without secrets and without the name of the home directory
    """
    return shorten_home(remove_secrets(text))


def _hide(value: str) -> str:
    return value if value.lower() in _NO_SECRET else HIDDEN
