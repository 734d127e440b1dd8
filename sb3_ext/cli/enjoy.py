"""``sb3-ext enjoy``: evaluate, show or film an agent."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.agent_options import agent_options
from sb3_ext.cli.completed_values import complete_opponents
from sb3_ext.cli.console import show_log
from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.options import check_output_files, ruled_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stable_baselines3.common.vec_env import VecEnv

    from sb3_ext.agents.agent import AgentSource
    from sb3_ext.evaluation.episode_loop import Episode
    from sb3_ext.evaluation.evaluate import Evaluation


@click.command(short_help="Evaluate, show or film an agent.")
@agent_options
@click.option(
    "--episodes", "--num-episodes", "-e", type=int, metavar="N", help="Number of episodes.  [default: as in training]"
)
@click.option(
    "--max-steps",
    type=click.IntRange(1),
    metavar="N",
    help="Truncate episodes after N steps.  [default: as in training]",
)
@click.option("--deterministic/--stochastic", default=None, help="How to choose actions.  [default: as in training]")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="[default: that of training's evaluations]")
@click.option("--render", is_flag=True, help="Show the episodes in a window.")
@ruled_option(
    "--video", type=click.Path(path_type=Path), metavar="FILE.mp4|FILE.gif",
    excludes={"--render": "an episode is filmed or shown; leave out one of them"}, help="Film all episodes.",
)  # fmt: skip
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the results to FILE.")
@ruled_option(
    "--against", metavar="OPPONENT", shell_complete=complete_opponents,
    excludes={
        "--render": "many games are played at once; leave out --render",
        "--video": "many games are played at once; leave out --video",
        "--env": "the agent plays the game that it was trained in; leave out --env",
        "--algo": "it is read from the run or checkpoint; leave out --algo",
        "--max-steps": "games end by themselves; leave out --max-steps",
    },
    help="In a game: play 1,000 games, or --episodes, against random, heuristic, alpha_beta_N, perfect, "
    "mcts_N, a run, a checkpoint or hf:user/name.",
)  # fmt: skip
@ruled_option(
    "--human", is_flag=True,
    only_with=("RUN|CHECKPOINT|ZIP", "--checkpoint", "--seat", "--deterministic", "--seed", "--trust"),
    help="In a game: play against the agent in the terminal.",
)  # fmt: skip
@ruled_option(
    "--seat", type=click.Choice(["first", "second", "random"]), default="random", show_default=True,
    needs={"--human": "add --human, or leave out --seat: other games are played on both sides"},
    help="With --human: your side.",
)  # fmt: skip
@ruled_option(
    "--evaluation", metavar="NAME",
    excludes={
        "--env": "each gives an environment; leave out one of them",
        "--algo": "only the evaluations of a run have names; leave out --algo",
        "--against": "they are different games; leave out one of them",
    },
    help="Evaluate as in the evaluation NAME of the run's configuration.  [default: the first]",
)  # fmt: skip
@click.option("--trust", is_flag=True, help="Load pickles, which can run any code.")
def enjoy(
    target: str,
    checkpoint: str | None,
    env_id: str | None,
    algo: str | None,
    episodes: int | None,
    max_steps: int | None,
    deterministic: bool | None,
    seed: int | None,
    render: bool,
    video: Path | None,
    json_path: Path | None,
    against: str | None,
    human: bool,
    seat: str,
    evaluation: str | None,
    trust: bool,
) -> None:
    """
    Evaluate the agent of a run, of a checkpoint, of any zip saved by SB3 (with --env and --algo), of a folder of
    RL Zoo such as logs/ppo/CartPole-v1_1, or of hf:user/name on the Hugging Face Hub.

    Environment, wrappers, normalisation and frame stack are those of training.
    """
    if episodes is not None and episodes < 1:
        raise click.UsageError(f"--episodes must be positive, but got {episodes}")
    if video is not None and video.suffix not in (".mp4", ".gif"):
        raise click.UsageError(f"--video: a video must be an .mp4 or a .gif file, but got '{video}'")
    check_output_files({"--video": video, "--json": json_path})
    target = fetch_target(target)
    if human:
        from sb3_ext.cli.human import play_person

        play_person(target, seat, checkpoint=checkpoint, deterministic=deterministic, seed=seed, trust=trust)
        return
    if against is not None:
        from sb3_ext.cli.match import print_match

        print_match(
            target, fetch_target(against), checkpoint=checkpoint, games=episodes, deterministic=deterministic,
            seed=seed, json_path=json_path, trust=trust,
        )  # fmt: skip
        return
    if render:
        check_display()
    with importing_sb3():
        import gymnasium

        from sb3_ext.agents.agent import find_agent, load_agent, make_agent_env
        from sb3_ext.agents.agent_episodes import play
        from sb3_ext.building.training_environments import choose_eval_seed, count_eval_envs
        from sb3_ext.errors import MissingExtraError
        from sb3_ext.evaluation.evaluate import summarize

    source = find_agent(
        target, checkpoint=checkpoint, env_id=env_id, algorithm=algo, evaluation=evaluation, trust=trust
    )
    is_shown = render or video is not None
    num_envs = 1 if is_shown else count_eval_envs(source.config, episodes)
    render_mode = "human" if render else "rgb_array" if video is not None else None
    used_seed = choose_eval_seed(source.config) if seed is None else seed
    with show_log(quiet=False, verbose=False):
        made = make_agent_env(source, num_envs=num_envs, render_mode=render_mode, trust=trust)
        with closing(_film(made, video)) as env:
            model = load_agent(source, env, trust=trust)
            click.echo(f"{source.model.path}: {source.config.agent.id} on {source.config.task_id}", err=True)
            playing = play(
                source, model, env, episodes, deterministic=deterministic, seed=used_seed, max_steps=max_steps
            )
            played: list[Episode] = []
            try:
                for episode in _print_episodes(playing):
                    played.append(episode)
            except gymnasium.error.DependencyNotInstalled as error:
                raise MissingExtraError(f"showing {source.config.task_id}", "video") from error
            except KeyboardInterrupt:
                click.echo(f"interrupted after {len(played)} episodes" + ("" if video is None else f"; video: {video}"))
                if played:
                    _print_evaluation(summarize(played))
                raise
    result = summarize(played, seed=used_seed)
    _print_evaluation(result)
    if video is not None:
        click.echo(f"video: {video}")
    if json_path is not None:
        _write_json(json_path, result, source)


def fetch_target(target: str) -> str:
    """
    :param target: of a command
    :return: path of the fetched agent for ``hf:user/name``; any other target unchanged
    """
    if not target.startswith("hf:"):
        return target
    from sb3_ext.hub.fetched_agent import fetch_agent

    return str(fetch_agent(target))


def check_display() -> None:
    """
    :raises click.UsageError: if there is no display
    """
    has_display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
    if sys.platform == "linux" and not has_display:
        raise click.UsageError("--render: no display found; use `sb3-ext enjoy --video FILE.gif`, which needs none")


def _film(env: VecEnv, video: Path | None) -> VecEnv:
    if video is None:
        return env
    from sb3_ext.evaluation.video import VideoRecorder

    try:
        return VideoRecorder(env, video)
    except ValueError as error:
        env.close()
        raise click.UsageError(f"--video {video}: {error}") from None


def _print_episodes(episodes: Iterable[Episode]) -> Iterator[Episode]:
    """Print each as it ends, and pass it on."""
    click.echo(f"{'episode':>7}  {'return':>10}  {'length':>7}")
    for episode in episodes:
        note = "  truncated" if episode.truncated else ""
        click.echo(f"{episode.index + 1:>7}  {episode.episode_return:>10.2f}  {episode.length:>7}{note}")
        yield episode


def _print_evaluation(evaluation: Evaluation) -> None:
    interval = "" if evaluation.ci95 is None else " (95 % interval {:.2f} to {:.2f})".format(*evaluation.ci95)
    click.echo(f"mean return {evaluation.mean_return:.2f} ± {evaluation.std_return:.2f}{interval}")
    click.echo(f"mean length {sum(evaluation.lengths) / len(evaluation.lengths):.1f}")
    if evaluation.success_rate is not None:
        click.echo(f"success rate {evaluation.success_rate:.1%}")
    for key, mean in evaluation.info_means.items():
        click.echo(f"mean {key} {mean:.4g}")
    if evaluation.truncated_episodes:
        count = f"{evaluation.truncated_episodes} of {evaluation.episodes} episodes"
        click.echo(f"{count} had not ended after {max(evaluation.lengths)} steps, and were truncated: see --max-steps")


def _write_json(path: Path, evaluation: Evaluation, source: AgentSource) -> None:
    from sb3_ext.cli.match import write_json_file

    write_json_file(path, {**evaluation.to_json(), "checkpoint": str(source.model.path)})
