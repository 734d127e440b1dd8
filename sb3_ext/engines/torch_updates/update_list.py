"""List of all updates in torch."""

from __future__ import annotations

from sb3_ext.engines.torch_updates.torch_actor_critic import TorchSACUpdate, TorchTD3Update, TorchTQCUpdate
from sb3_ext.engines.torch_updates.torch_lookahead import TorchLookaheadUpdate
from sb3_ext.engines.torch_updates.torch_policy_gradient import (
    TorchA2CUpdate,
    TorchMaskablePPOUpdate,
    TorchPPOUpdate,
)
from sb3_ext.engines.torch_updates.torch_q_learning import TorchDQNUpdate, TorchQRDQNUpdate
from sb3_ext.engines.torch_updates.torch_update import TorchUpdate

UPDATES: tuple[type[TorchUpdate], ...] = (
    TorchPPOUpdate,
    TorchMaskablePPOUpdate,
    TorchA2CUpdate,
    TorchLookaheadUpdate,
    TorchDQNUpdate,
    TorchQRDQNUpdate,
    TorchSACUpdate,
    TorchTQCUpdate,
    TorchTD3Update,
)
