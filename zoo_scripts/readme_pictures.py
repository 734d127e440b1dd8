"""
Make the pictures of the README anew, with the commands that it shows: curves, a film, a live view and a league.

``python zoo_scripts/readme_pictures.py curves film watch league --runs runs/pictures``

Trainings take about an hour on two cores; the same command continues interrupted ones and keeps finished ones. Needs
the extras ``box2d``, ``video`` and ``league``, and for the live view ``tmux``.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

FIGURES = Path(__file__).parent / "figures"
SB3_EXT = [sys.executable, "-m", "sb3_ext"]
_WATCH_COLUMNS = 108
_FILM_WIDTH = 300
_FILM_STRIDE = 2
_SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own format loads a font from the network."""


def run(command: str) -> None:
    """Run a command line of ``sb3-ext``."""
    subprocess.run([*SB3_EXT, *shlex.split(command)], check=True)


def make_curves(runs: Path, output: Path) -> None:
    """PPO over five seeds and DQN over three."""
    run(f"train cartpole_ppo --seeds 0..4 --run-dir {runs}/ppo")
    run(f"train cartpole_dqn --seeds 0..2 --run-dir {runs}/dqn")
    run(f"plot {runs}/ppo {runs}/dqn --output {output}/curves.png")


def make_film(runs: Path, output: Path) -> None:
    """An episode of LunarLander, reduced to a fraction of its size."""
    run(f"train lunarlander_ppo --run-dir {runs}/lunarlander --resume --set train.total_steps=550000")
    run(f"enjoy {runs}/lunarlander --episodes 1 --video {runs}/lunarlander.gif")
    shrink_film(runs / "lunarlander.gif", output / "agent.gif")


def shrink_film(source: Path, target: Path) -> None:
    """Keep every second frame of a film, in half of its width and 32 colours."""
    with Image.open(source) as film:
        height = film.height * _FILM_WIDTH // film.width
        frames = []
        for number in range(0, getattr(film, "n_frames", 1), _FILM_STRIDE):
            film.seek(number)
            frame = film.convert("RGB").resize((_FILM_WIDTH, height), Image.Resampling.LANCZOS)
            frames.append(frame.quantize(32, dither=Image.Dither.NONE))
        duration = film.info["duration"] * _FILM_STRIDE
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=duration, loop=0, optimize=True)


def make_watch(runs: Path, output: Path) -> None:
    """The live view of a running training, as a terminal shows it."""
    directory = runs / "watched"
    training = subprocess.Popen(
        [*SB3_EXT, "train", "lunarlander_ppo", "--run-dir", str(directory), "--resume", "--quiet"]
    )
    try:
        wait_for_share(directory, 0.5)
        draw_terminal(f"runs watch {directory}", output / "runs_watch.svg")
    finally:
        training.terminate()
        training.wait()


def wait_for_share(directory: Path, share: float) -> None:
    """Wait until a run has done this share of its steps."""
    from sb3_ext import load_run
    from sb3_ext.errors import RunError

    while True:
        time.sleep(1)
        try:
            record = load_run(directory).record
        except RunError:
            continue
        if record.status != "running":
            raise RuntimeError(f"{directory}: expected a running training, found one that is {record.status}")
        if record.total_steps and record.step >= share * record.total_steps:
            return


def draw_terminal(command: str, target: Path) -> None:
    """Run a command of ``sb3-ext`` in a terminal, and draw what it shows after some seconds."""
    tmux = ["tmux", "-L", "readme-pictures"]
    shown = shlex.join([*SB3_EXT, *shlex.split(command)])
    subprocess.run([*tmux, "new-session", "-d", "-x", str(_WATCH_COLUMNS), "-y", "40", shown], check=True)
    time.sleep(10)
    screen = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True).stdout
    subprocess.run([*tmux, "kill-server"], check=True)
    console = Console(record=True, width=_WATCH_COLUMNS, file=StringIO())
    console.print(Text.from_ansi(screen.rstrip()))
    title = f"sb3-ext {command.partition(' runs/')[0]}"
    target.write_text(console.export_svg(title=title, code_format=_SVG, unique_id="terminal"))


def make_league(runs: Path, output: Path) -> None:
    """The league of half an hour of self-play."""
    run(f"train connect4_maskable_ppo --duration 30m --run-dir {runs}/connect4 --resume")
    run(f"league {runs}/connect4 --no-positions --output {output}/league.png")


PICTURES = {"curves": make_curves, "film": make_film, "watch": make_watch, "league": make_league}


def main() -> None:
    """Make the pictures that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", choices=[[], *PICTURES], help="which ones; default: all")
    parser.add_argument("--runs", type=Path, default=Path("runs/pictures"), help="directory of the trainings")
    parser.add_argument("--output", type=Path, default=FIGURES, help="directory of the pictures")
    arguments = parser.parse_args()
    for name in arguments.pictures or PICTURES:
        PICTURES[name](arguments.runs, arguments.output)


if __name__ == "__main__":
    main()
