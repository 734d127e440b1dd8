"""Read the variables of a launcher, and connect to the other ranks."""

from __future__ import annotations

import importlib.util
import socket
import sys

import pytest
import torch

from rank_processes import make_variables
from sb3_ext.errors import RankError
from sb3_ext.ranks import rank_group
from sb3_ext.ranks.placement import RankPlacement, read_placement
from sb3_ext.ranks.rank_group import RankGroup


def test_a_process_without_a_launcher_is_alone() -> None:
    assert read_placement({}) is None
    assert read_placement({"WORLD_SIZE": "1", "RANK": "0"}) is None


def test_the_variables_of_torchrun() -> None:
    variables = {**make_variables(3, 4, 29500), "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    variables |= {"TORCHELASTIC_RESTART_COUNT": "5", "TORCHELASTIC_MAX_RESTARTS": "7"}
    assert read_placement(variables) == RankPlacement(3, 4, 1, 2, 7)


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


def test_a_port_in_use_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for name, value in make_variables(0, 2, port).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(RankError) as caught:
            RankGroup.join()
    message = str(caught.value)
    assert message.startswith("rank 0 cannot connect to the other ranks: ")
    assert f"port: {port}" in message
    assert len(message.splitlines()) == 1


def test_a_build_of_torch_without_distributed_trains_one_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "torch.distributed.rendezvous", None)  # cannot be imported
    spec = importlib.util.spec_from_file_location("rank_group_copy", rank_group.__file__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    assert copy.RankGroup(None).size == 1
    with pytest.raises(RankError, match=r"needs torch\.distributed, which this build of torch lacks"):
        copy.RankGroup(RankPlacement(0, 2))


def test_a_group_of_one_rank_exchanges_nothing() -> None:
    with RankGroup(None) as group:
        assert (group.rank, group.size, group.is_leader, group.is_usable) == (0, 1, True, True)
        assert group.share("value") == "value"
        assert group.gather("value") == ["value"]
        assert group.collect("value") == ["value"]
