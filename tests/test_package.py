"""The content of an installation: both packages, their types, the configurations, the command."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from sb3_ext.version import __version__

ROOT = Path(__file__).parents[1]
FOR_DEVELOPERS = {"dev", "lint", "test", "type"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout; hatchling itself builds it, since pip would first download hatchling again."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"sb3_ext-{__version__}.dist-info/METADATA"))


def find_extras(metadata: Message) -> set[str]:
    """The extras that bring a feature."""
    return set(metadata.get_all("Provides-Extra", [])) - FOR_DEVELOPERS - {"all"}


def find_requirements(metadata: Message, extras: set[str], python: str = "3.11") -> dict[str, Requirement]:
    """
    What the extras bring, without what every installation has; the extra "" stands for the latter.

    By default for the Python that the files with constraints are for, whichever runs the tests.
    """
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    return {
        requirement.name: requirement
        for requirement in requirements
        if any(is_required(requirement, extra, python) for extra in extras)
    }


def read_pins(file_name: str) -> dict[str, SpecifierSet]:
    lines = (ROOT / file_name).read_text().splitlines()
    constraints = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(constraint.name): constraint.specifier for constraint in constraints}


def is_required(requirement: Requirement, extra: str, python: str) -> bool:
    if requirement.marker is None:
        return not extra
    return requirement.marker.evaluate({"extra": extra, "python_version": python})


def test_the_wheel_has_both_packages_with_type_markers(names: set[str]) -> None:
    sources = [*(ROOT / "sb3_ext").rglob("*.py"), *(ROOT / "envs" / "sb3_ext_envs").rglob("*.py")]
    pages = [path for path in (ROOT / "sb3_ext").rglob("*") if path.suffix in (".css", ".jinja", ".js")]
    sources += pages
    assert pages
    expected = {str(path.relative_to(ROOT)).removeprefix("envs/") for path in sources}

    assert expected | {"sb3_ext/py.typed", "sb3_ext_envs/py.typed"} <= names


def test_the_wheel_has_nothing_else(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"sb3_ext", "sb3_ext_envs", f"sb3_ext-{__version__}.dist-info"}
    assert f"sb3_ext-{__version__}.dist-info/licenses/LICENSE" in names


def test_shipped_configurations_are_found_after_an_ordinary_installation(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "from sb3_ext.config import find_shipped_configs\nfor path in find_shipped_configs().values(): print(path)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )

    shipped = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))
    assert result.stdout.splitlines() == [str(tmp_path / "sb3_ext" / "configs" / name) for name in shipped]


def test_the_wheel_has_all_files_of_the_template(names: set[str]) -> None:
    template = ROOT / "sb3_ext" / "scaffold" / "template"
    files = {
        str(path.relative_to(ROOT))
        for path in template.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert len(files) == 8
    assert files <= names


@pytest.mark.slow
def test_a_wheel_from_the_sdist_trains_outside_of_the_repository(tmp_path: Path) -> None:
    """As ``tox -e package`` does in a fresh environment; here the dependencies are those of the tests."""

    def run(*command: str | Path, directory: Path) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
        result = subprocess.run(
            [sys.executable, *map(str, command)], cwd=directory, env=environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run("-m", "hatchling", "build", "--target", "sdist", "--directory", tmp_path, directory=ROOT)
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        sources.extractall(tmp_path / "sources", filter="data")
    [unpacked] = (tmp_path / "sources").iterdir()
    run("-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, directory=unpacked)
    with ZipFile(next(tmp_path.glob("*.whl"))) as wheel_file:
        wheel_file.extractall(tmp_path / "installed")
    shutil.rmtree(tmp_path / "sources")
    (tmp_path / "elsewhere").mkdir()

    place = run("-c", "import sb3_ext; print(sb3_ext.__file__)", directory=tmp_path / "elsewhere").strip()
    assert place == str(tmp_path / "installed" / "sb3_ext" / "__init__.py")
    options = ("--total-steps", "512", "--run-dir", "run")
    run("-m", "sb3_ext", "train", "cartpole_ppo", *options, directory=tmp_path / "elsewhere")
    assert "mean return" in run("-m", "sb3_ext", "enjoy", "run", "--episodes", "2", directory=tmp_path / "elsewhere")
    run("-m", "sb3_ext", "new", "my_project", directory=tmp_path / "elsewhere")


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        entry_points = archive.read(f"sb3_ext-{__version__}.dist-info/entry_points.txt").decode()

    assert "sb3-ext = sb3_ext.cli:main" in entry_points


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.13"])
def test_dependencies_have_a_lower_bound_and_an_upper_one_where_private_names_are_used(
    metadata: Message, python: str
) -> None:
    for_users = find_requirements(metadata, {"", *find_extras(metadata)}, python)

    assert {"stable-baselines3", "box2d"} <= set(for_users)
    for name, requirement in for_users.items():
        # sb3_ext.internals, and procgen_library in sb3_ext_envs; where torch differs from what is expected there, its
        # compiler is loaded as usual.
        is_bounded = name in ("gymnasium", "optuna", "procgen-gym", "sb3-contrib", "stable-baselines3")
        operators = sorted(specifier.operator for specifier in requirement.specifier)
        assert operators == (["<", ">="] if is_bounded else [">="]), str(requirement)


NOT_IN_ALL = {"procgen", "dashboard", "envpool", "jax", "mysql", "postgresql", "ray", "solver", "xla-cuda"}
"""Large packages, drivers of servers, packages for NumPy 1, and packages under a stricter licence."""


def test_the_extra_all_has_every_other_extra(metadata: Message) -> None:
    extras = find_extras(metadata) - NOT_IN_ALL

    assert find_requirements(metadata, {"all"}).keys() == find_requirements(metadata, extras).keys()


def test_the_lowest_versions_are_those_of_pyproject(metadata: Message) -> None:
    lowest = {
        canonicalize_name(name): next(bound.version for bound in requirement.specifier if bound.operator == ">=")
        for name, requirement in find_requirements(metadata, {"", "all", "postgresql", "solver"}).items()
    }
    pins = {name: next(iter(pin)).version for name, pin in read_pins("constraints-lowest.txt").items()}

    assert {name: Version(pin) for name, pin in pins.items()} == {
        name: Version(bound) for name, bound in lowest.items()
    }


def test_both_constraints_files_agree_except_for_procgen() -> None:
    usual, procgen = (read_pins(name) for name in ("constraints.txt", "constraints-procgen.txt"))
    differing = {name for name in usual.keys() & procgen.keys() if usual[name] != procgen[name]}

    assert differing == {"cffi", "filelock", "glfw", "imageio-ffmpeg", "numpy"}


@pytest.mark.parametrize(
    ("file_name", "extras"), [("constraints.txt", {"", "dev"}), ("constraints-procgen.txt", {"", "procgen"})]
)
def test_constraints_name_every_dependency(metadata: Message, file_name: str, extras: set[str]) -> None:
    pins = read_pins(file_name)

    for name, requirement in find_requirements(metadata, extras).items():
        [pin] = pins[canonicalize_name(name)]
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), f"{requirement} excludes {pin}"
