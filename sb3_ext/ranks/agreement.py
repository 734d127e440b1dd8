"""Exchange values among ranks through a store that may have entries of ranks that were killed."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sb3_ext.errors import RankError
from sb3_ext.ranks.placement import RankPlacement

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_LEADER, _AGREEMENT = "sb3_ext_leader", "sb3_ext_agreement"
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Agreement:
    """
    What all ranks know.

    :param attempt: the same text on all ranks, which no earlier ranks have had
    :param values: the value of each rank
    """

    attempt: str
    values: list[Any]


def agree(store: Store, placement: RankPlacement, value: Any, timeout_seconds: float) -> Agreement:
    """
    Exchange a value among all ranks.

    ``torchrun`` keeps its store when it restarts ranks, so that a rank could connect to the address of a killed one.
    Here each process has a token, and reads only what quotes its own.

    :param store: from the rendezvous of the ranks
    :param placement: the place of this process
    :param value: plain data
    :param timeout_seconds: how long to wait for the other ranks
    :return: the values of all ranks, and a prefix for further entries of the store
    :raises RankError: if a rank does not answer in time
    """
    token, deadline = secrets.token_hex(8), time.monotonic() + timeout_seconds
    lead_or_follow = _lead if placement.rank == 0 else _follow
    while time.monotonic() < deadline:
        agreement = lead_or_follow(store, placement, token, value)
        if agreement is not None:
            return agreement
        time.sleep(_POLL_SECONDS)
    raise RankError(f"rank {placement.rank} has no answer of the other ranks after {timeout_seconds:.0f} s")


def _lead(store: Store, placement: RankPlacement, token: str, value: Any) -> Agreement | None:
    store.set(_LEADER, token)
    names = [_name_offer(rank) for rank in range(1, placement.size)]
    if not all(store.check([name]) for name in names):
        return None
    offers = [json.loads(store.get(name)) for name in names]
    if any(offer["leader"] != token for offer in offers):
        return None
    tokens, values = [offer["token"] for offer in offers], [value, *(offer["value"] for offer in offers)]
    store.set(_AGREEMENT, json.dumps({"attempt": token, "tokens": [token, *tokens], "values": values}))
    # The store may end with this process, so wait until all have read it.
    return Agreement(token, values) if all(offer["is_read"] for offer in offers) else None


def _follow(store: Store, placement: RankPlacement, token: str, value: Any) -> Agreement | None:
    if not store.check([_LEADER]):
        return None
    offer = {"leader": store.get(_LEADER).decode(), "token": token, "value": value}
    found = json.loads(store.get(_AGREEMENT)) if store.check([_AGREEMENT]) else {"tokens": []}
    is_read = found["tokens"][placement.rank : placement.rank + 1] == [token]
    store.set(_name_offer(placement.rank), json.dumps({**offer, "is_read": is_read}))
    return Agreement(found["attempt"], found["values"]) if is_read else None


def _name_offer(rank: int) -> str:
    return f"sb3_ext_offer_{rank}"
