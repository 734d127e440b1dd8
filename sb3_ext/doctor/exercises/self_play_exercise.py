"""Self-play."""

from __future__ import annotations

import json
from pathlib import Path

from sb3_ext.doctor.check import Finding
from sb3_ext.doctor.exercises.exercise import Exercise, train_task
from sb3_ext.doctor.exercises.program import run_program
from sb3_ext.errors import ExerciseError

_GAMES = 20


class SelfPlayExercise(Exercise):
    """Train against a pool of opponents with snapshots of the agent, and play some games."""

    name = "self-play"

    def examine(self, directory: Path) -> Finding:
        run = train_task(self.task, directory)
        snapshots = len(list(run.paths.opponents.glob("episode_*")))
        if snapshots == 0:
            raise ExerciseError("the training has saved no snapshots of the agent as opponents")
        run_program(
            directory,
            "enjoy",
            str(run.paths.root),
            "--against",
            "random",
            "--episodes",
            str(_GAMES),
            "--json",
            "games.json",
        )
        result = json.loads((directory / "games.json").read_text())
        games = [result[name] for name in ("wins", "draws", "losses")]
        if sum(games) != _GAMES:
            raise ExerciseError(f"{' + '.join(map(str, games))} games were won, drawn and lost, expected {_GAMES}")
        return Finding("OK", f"{snapshots} snapshots; {games[0]} wins in {_GAMES} games against random moves")
