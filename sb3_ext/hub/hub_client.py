"""Transfer folders to and from the Hugging Face Hub, with one clear message for each failure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sb3_ext.errors import MissingExtraError, Sb3ExtError

HUB_PREFIX = "hf:"
"""Begins the name of an agent on the Hub: ``hf:user/name``."""

_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"

FETCHED_FILES = (
    "README.md",
    "*.json",
    "*.jsonl",
    "*.yaml",
    "*.yml",
    "*.zip",
    "*.png",
    "*.gif",
    "*.mp4",
    "requirements.txt",
    "vec_normalize.pkl",
    "checkpoints/**/*.json",
    "checkpoints/**/*.npz",
    "checkpoints/**/*.safetensors",
    "checkpoints/**/*.zip",
)
"""Files that are fetched; others, such as code, stay on the Hub."""


class HubError(Sb3ExtError):
    """The Hugging Face Hub cannot be reached, refuses a request, or does not have what was asked for."""


def upload_folder(folder: Path, name: str, *, private: bool = False, message: str) -> str:
    """
    Create a repository if it does not exist, and commit the files of a folder to it.

    :param folder: its files replace those of the same name in the repository
    :param name: ``user/name``
    :param private: create a private repository
    :param message: of the commit
    :return: address of the repository
    :raises HubError: if it is not possible, with the reason
    """
    with _explaining_failures(name):
        api = _make_client()
        address = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=str(folder), commit_message=message)
    return str(address)


def download_folder(name: str, folder: Path, *, revision: str | None = None) -> None:
    """
    Fetch the files of a repository that belong to agents and runs.

    :param name: ``user/name``
    :param folder: where they are written; files that are there and have not changed are not fetched again
    :param revision: branch, tag or commit; ``None`` for the newest
    :raises HubError: if it is not possible, with the reason
    """
    with _explaining_failures(name):
        _make_client().snapshot_download(
            name, revision=revision, local_dir=str(folder), allow_patterns=list(FETCHED_FILES)
        )


def validate_name(name: str) -> None:
    """
    :param name: of a repository
    :raises HubError: if it is not ``user/name``
    """
    if _NAME.fullmatch(name) is None:
        raise HubError(f"{name}: expected the name of a repository on the Hugging Face Hub, such as user/name")


def check_login(name: str) -> None:
    """
    Check that the Hub can be reached and accepts the user's token, before a run is evaluated and uploaded.

    :param name: ``user/name``, for the message
    :raises MissingExtraError: if the Hub's client is not installed
    :raises HubError: if the Hub cannot be reached, or there is no valid token
    """
    if find_spec("huggingface_hub") is None:
        raise MissingExtraError("the Hugging Face Hub", "hub")
    with _explaining_failures(name):
        _make_client().whoami()


def _make_client() -> Any:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(endpoint=_get_endpoint(), library_name="sb3-ext")


def _get_endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


@contextmanager
def _explaining_failures(name: str) -> Iterator[None]:
    """:raises HubError: for every failure of the client"""
    validate_name(name)
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise MissingExtraError("the Hugging Face Hub", "hub") from error
    place = f"{_get_endpoint()}/{name}"
    try:
        yield
    except errors.LocalTokenNotFoundError as error:
        raise HubError(f"{place}: no login: {_LOGIN}") from error
    except errors.HFValidationError as error:
        raise HubError(f"{name}: is not a name of a repository: {_describe(error)}") from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"{place}: has no such revision") from error
    except errors.HfHubHTTPError as error:
        raise HubError(f"{place}: {_explain_status(error)}") from error
    except errors.LocalEntryNotFoundError as error:
        raise HubError(f"cannot reach {_get_endpoint()}: {_describe(error.__cause__ or error)}") from error
    except errors.OfflineModeIsEnabled as error:
        raise HubError(f"cannot reach {_get_endpoint()}: HF_HUB_OFFLINE is set") from error
    except OSError as error:
        if error.filename is not None:
            raise HubError(f"{error.filename}: {error.strerror}") from error
        raise HubError(f"cannot reach {_get_endpoint()}: {_describe(error)}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
            raise
        raise HubError(f"cannot reach {_get_endpoint()}: {_describe(error)}") from error


def _explain_status(error: Any) -> str:
    status = getattr(error.response, "status_code", None)
    has_token = bool(os.environ.get("HF_TOKEN")) or _has_saved_token()
    if status == 401 and not has_token:
        return f"not found, or private or to be written, and you are not logged in: {_LOGIN}"
    if status == 401:
        return f"the token is not valid: {_LOGIN}"
    if status == 403:
        return "your token does not allow this; it needs the permission to write"
    if status == 404:
        return "there is no such repository, or it is private and your token does not show it"
    return f"the server refuses: {_describe(error)}"


def _has_saved_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _describe(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
