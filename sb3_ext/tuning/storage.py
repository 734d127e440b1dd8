"""Where a study is kept: SQLite on this machine, a journal file, also on shared disks, or PostgreSQL or MySQL."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.pool import NullPool

from sb3_ext.errors import TuningError
from sb3_ext.runs.directory_kind import STUDY_DATABASE, STUDY_JOURNAL
from sb3_ext.tuning.exclusion import Exclusion, exclude_by_file, exclude_by_server
from sb3_ext.tuning.optuna_journal import open_journal

logger = logging.getLogger(__name__)

JOURNAL = "journal"
_SERVERS = ("postgresql", "mysql", "mariadb")
_FORMS = "sqlite:///FILE, journal:///FILE, postgresql://USER:PASSWORD@HOST/NAME or mysql://…"
_BUSY_SECONDS = 120  # SQLite has one writer at a time
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class OpenStorage:
    """
    :param storage: Optuna's
    :param exclusion: keeps all other processes of the study out
    """

    storage: BaseStorage
    exclusion: Exclusion


def complete_storage(storage: str | None, directory: Path, *, is_distributed: bool = False) -> str:
    """
    :param storage: as in the configuration: ``None``, ``journal``, or a URL
    :param directory: the study's
    :param is_distributed: whether processes on several machines use it: the default is a journal then, since SQLite
        loses data on file systems that machines share
    :return: a URL, with the file's absolute path if it is one
    :raises TuningError: if it has no form that is known, or several machines cannot use it
    """
    if is_distributed:
        if storage is not None and storage.startswith("sqlite"):
            raise TuningError(
                f"tune.storage: several machines cannot share SQLite, found '{storage}'; expected journal, "
                "postgresql://USER:PASSWORD@HOST/NAME or mysql://…"
            )
        storage = storage or JOURNAL
    if storage is None:
        return f"sqlite:///{directory.absolute() / STUDY_DATABASE}"
    if storage == JOURNAL:
        return f"journal:///{directory.absolute() / STUDY_JOURNAL}"
    scheme, separator, rest = storage.partition("://")
    kind = scheme.partition("+")[0]
    if not separator or kind not in (JOURNAL, "sqlite", *_SERVERS):
        raise TuningError(f"tune.storage: expected journal, {_FORMS}, found '{hide_password(storage)}'")
    if kind in _SERVERS:
        return storage
    path = rest.removeprefix("/")
    if not path or path.startswith(":"):
        raise TuningError(f"tune.storage: expected a file, such as {scheme}:///study.db, found '{storage}'")
    return f"{scheme}:///{Path(path).absolute()}"


def find_file(url: str) -> Path | None:
    """
    :param url: from :func:`complete_storage`
    :return: the file of a storage; ``None`` if it is on a server
    """
    scheme, _, path = url.partition(":///")
    return None if scheme.partition("+")[0].partition(":")[0] in _SERVERS else Path(path)


def hide_password(storage: str) -> str:
    """:return: a storage's URL as it may be shown and logged"""
    try:
        return sqlalchemy.make_url(storage).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return storage


def open_storage(url: str, study: str) -> OpenStorage:
    """
    :param url: from :func:`complete_storage`
    :param study: the study's name
    :return: the storage, made if it does not exist
    :raises TuningError: if it cannot be reached or opened
    """
    kind = url.partition("://")[0].partition("+")[0]
    try:
        if kind in _SERVERS:
            return _open_server(url, study)
        path = find_file(url)
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        exclusion = exclude_by_file(path.with_name(path.name + ".study-lock"))
        with exclusion():  # tables are made by one process
            if kind == JOURNAL:
                return OpenStorage(open_journal(path), exclusion)
            return OpenStorage(_open_database(url, connect_args={"timeout": _BUSY_SECONDS}), exclusion)
    except ModuleNotFoundError as error:
        raise TuningError(
            f"tune.storage: {kind} needs a driver, which is not installed ({error.name}): pip install 'sb3-ext[{kind}]'"
        ) from error
    except (OSError, ValueError, sqlalchemy.exc.SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise TuningError(
            f"tune.storage: {hide_password(url)} cannot be opened: {_find_cause(error)}; is it there, and does it "
            "accept this user?"
        ) from error


def _open_server(url: str, study: str) -> OpenStorage:
    url = _choose_driver(url)
    # Connected only while there is something to say: a server has a hundred places, and a study may have many workers.
    arguments: dict[str, Any] = {"poolclass": NullPool, "connect_args": {"connect_timeout": _CONNECT_SECONDS}}
    exclusion = exclude_by_server(sqlalchemy.create_engine(url, **arguments), study)
    with exclusion():
        return OpenStorage(_open_database(url, **arguments), exclusion)


def _open_database(url: str, **engine_arguments: object) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RDBStorage(url, engine_kwargs=engine_arguments)


def _choose_driver(url: str) -> str:
    """The one that is installed, where the URL names none: SQLAlchemy's default depends on its version."""
    scheme, _, rest = url.partition("://")
    for kind, drivers in (("postgresql", ("psycopg", "psycopg2")), ("mysql", ("pymysql", "MySQLdb"))):
        if scheme == kind:
            driver = next((driver for driver in drivers if find_spec(driver) is not None), None)
            if driver is None:
                raise ModuleNotFoundError(f"No module named '{drivers[0]}'", name=drivers[0])
            return f"{kind}+{driver.lower()}://{rest}"
    return url


def _find_cause(error: BaseException) -> str:
    """Return the text of the innermost error: the outer ones are generic errors of Optuna and SQLAlchemy."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]
