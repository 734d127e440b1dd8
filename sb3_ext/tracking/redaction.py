"""Remove passwords and keys from text before it is shown, logged or written."""

from __future__ import annotations

import os
import re

from sb3_ext.errors import describe_error
from sb3_ext.formatting import shorten_middle

_PASSWORD = re.compile(r"(://[^/@\s:]*):[^/@\s]*@")
_LOGIN = re.compile(r"://[^/@\s]*@")
_SECRET_VARIABLE = re.compile(r"(API_?KEY|TOKEN|PASSWORD|SECRET)(_|$)", re.IGNORECASE)
_MOST_COLUMNS = 240
_SHORTEST_SECRET = 6  # a shorter value could be part of any text


def has_password(uri: str) -> bool:
    """
    :param uri: a URI, such as ``http://user:password@host``
    :return: whether it contains a password
    """
    return _PASSWORD.search(uri) is not None


def remove_login(uri: str) -> str:
    """
    :param uri: a URI, such as ``http://user:password@host``
    :return: the URI without user name and password, as a link to open in a browser
    """
    return _LOGIN.sub("://", uri)


def hide_secrets(text: str) -> str:
    """
    :param text: any text
    :return: the text with ``***`` instead of passwords in URIs and the values of the environment variables
        ``…API_KEY``, ``…TOKEN``, ``…PASSWORD`` and ``…SECRET``
    """
    text = _PASSWORD.sub(r"\1:***@", text)
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    return text


def describe_safely(error: BaseException) -> str:
    """
    :param error: an error of a service or its client
    :return: one line without secrets, short: the cause is at the end of a long message of an HTTP client
    """
    return shorten_middle(hide_secrets(describe_error(error)), _MOST_COLUMNS)
