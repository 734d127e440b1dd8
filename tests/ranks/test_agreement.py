"""Ranks exchange values through a store that still has entries of ranks that were killed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from torch.distributed import HashStore

from sb3_ext.errors import RankError
from sb3_ext.ranks.agreement import Agreement, agree
from sb3_ext.ranks.placement import RankPlacement


def agree_in_threads(store: Any, size: int, *, order: list[int], pause_seconds: float = 0.0) -> list[Agreement]:
    """:return: the agreement of each rank, which begin in this order"""
    with ThreadPoolExecutor(size) as pool:
        started = {}
        for rank in order:
            started[rank] = pool.submit(agree, store, RankPlacement(rank, size), f"value {rank}", 20.0)
            time.sleep(pause_seconds)
        return [started[rank].result() for rank in range(size)]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_all_ranks_have_the_values_of_all(order: list[int]) -> None:
    agreements = agree_in_threads(HashStore(), 3, order=order)
    assert agreements[0].values == ["value 0", "value 1", "value 2"]
    assert agreements == [agreements[0]] * 3


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_ranks_that_are_restarted_do_not_meet_those_that_were_killed(order: list[int]) -> None:
    store = HashStore()
    [before, _] = agree_in_threads(store, 2, order=order)
    first, second = agree_in_threads(store, 2, order=order, pause_seconds=0.1)
    assert first == second
    assert first.attempt != before.attempt


def test_more_ranks_than_before_agree() -> None:
    store = HashStore()
    agree_in_threads(store, 2, order=[0, 1])
    agreements = agree_in_threads(store, 3, order=[2, 1, 0], pause_seconds=0.05)
    assert agreements == [agreements[0]] * 3


def test_a_rank_that_is_missing_is_an_error() -> None:
    with pytest.raises(RankError, match="rank 1 has no answer of the other ranks after 0 s"):
        agree(HashStore(), RankPlacement(1, 2), None, 0.05)
