"""Read the variables of a launcher."""

from __future__ import annotations

import pytest

from rank_processes import make_variables
from sb3_ext.errors import RankError
from sb3_ext.ranks.placement import RankPlacement, read_placement


def test_a_process_without_a_launcher_is_alone() -> None:
    assert read_placement({}) is None
    assert read_placement({"WORLD_SIZE": "1", "RANK": "0"}) is None


def test_the_variables_of_torchrun() -> None:
    variables = {**make_variables(3, 4, 29500), "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    variables |= {"TORCHELASTIC_RESTART_COUNT": "5", "TORCHELASTIC_MAX_RESTARTS": "7"}
    assert read_placement(variables) == RankPlacement(3, 4, 1, 2, 5, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK": "4"}, "RANK must be an integer from 0 to 3, but is '4'; torchrun sets it"),
        ({"RANK": "one"}, "RANK must be an integer from 0 to 3, but is 'one'; torchrun sets it"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE must be an integer at least 1, but is '-2'; torchrun sets it"),
        ({"MASTER_PORT": None}, "MASTER_PORT is not set, but WORLD_SIZE is 4; start the ranks with torchrun"),
    ],
)
def test_wrong_variables(changes: dict[str, str | None], message: str) -> None:
    variables = {**make_variables(0, 4, 29500), **changes}
    with pytest.raises(RankError) as caught:
        read_placement({name: value for name, value in variables.items() if value is not None})
    assert str(caught.value) == message
