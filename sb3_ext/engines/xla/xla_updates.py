"""List of all updates that are compiled by XLA."""

from __future__ import annotations

from sb3_ext.engines.xla.policy_gradient import A2CUpdate, MaskablePPOUpdate, PPOUpdate
from sb3_ext.engines.xla.q_learning import DQNUpdate, QRDQNUpdate
from sb3_ext.engines.xla.sac import SACUpdate, TQCUpdate
from sb3_ext.engines.xla.td3 import TD3Update
from sb3_ext.engines.xla.xla_update import XlaUpdate

UPDATES: tuple[type[XlaUpdate], ...] = (
    PPOUpdate,
    MaskablePPOUpdate,
    A2CUpdate,
    DQNUpdate,
    QRDQNUpdate,
    SACUpdate,
    TQCUpdate,
    TD3Update,
)
