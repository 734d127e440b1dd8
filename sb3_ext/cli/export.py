"""``sb3-ext export``: write an agent as an ONNX model, or as a web page that plays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sb3_ext.cli.agent_options import agent_options
from sb3_ext.cli.console import show_log
from sb3_ext.cli.enjoy import fetch_target
from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.options import check_output_files

if TYPE_CHECKING:
    from sb3_ext.exporting.onnx_model import OnnxExport
    from sb3_ext.exporting.web_page import WebExport


@click.command(short_help="Export an agent to ONNX, or to a web page that plays.")
@click.option("--onnx", type=click.Path(path_type=Path), metavar="FILE.onnx", help="Write an ONNX model.")
@click.option("--web", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a web page.")
@agent_options
@click.option("--force", is_flag=True, help="Replace existing files.")
@click.option("--trust", is_flag=True, help="Load pickles, which can run any code.")
def export(
    target: str,
    onnx: Path | None,
    web: Path | None,
    checkpoint: str | None,
    env_id: str | None,
    algo: str | None,
    force: bool,
    trust: bool,
) -> None:
    """
    Export the agent of a run, of a checkpoint, of any zip saved by SB3 (with --env and --algo), of a folder of RL Zoo,
    or of hf:user/name on the Hugging Face Hub.

    The ONNX model takes observations of the environment and returns deterministic actions: frame stack, normalisation
    of observations, action masks and the scaling of actions are part of it.

    The web page plays without network: Connect4 and tic-tac-toe against you, and CartPole, Acrobot, MountainCar and
    Pendulum, simulated in the page.

    A file is written only if its actions are those of `predict` on 1,000 observations.
    """
    if onnx is None and web is None:
        raise click.UsageError("give --onnx FILE, --web FILE or both")
    check_output_files({"--onnx": onnx, "--web": web}, force=force)
    target = fetch_target(target)
    with importing_sb3():
        from sb3_ext.exporting.onnx_model import export_onnx
        from sb3_ext.exporting.web_page import export_web

    arguments: dict[str, Any] = {
        "checkpoint": checkpoint, "env_id": env_id, "algorithm": algo, "trust": trust, "force": force,
    }  # fmt: skip
    with show_log(quiet=True, verbose=False):
        if onnx is not None:
            _print_onnx(export_onnx(target, onnx, **arguments))
        if web is not None:
            _print_web(export_web(target, web, **arguments))


def _print_onnx(written: OnnxExport) -> None:
    for name, tensors in (("in ", written.inputs), ("out", written.outputs)):
        for key, kind in tensors.items():
            click.echo(f"{name} {key}: {kind}")
    click.echo(f"{written.path}: {written.comparison.describe()}")


def _print_web(written: WebExport) -> None:
    click.echo(f"{written.path}: {written.size_bytes / 1000:,.0f} kB; {written.comparison.describe()}")
