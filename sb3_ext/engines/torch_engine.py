"""Updates that compute the same as SB3's ``train`` in less time, with torch alone."""

from __future__ import annotations

from typing import Any

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.engine import Engine, Update


class TorchEngine(Engine):
    """Update models with torch alone, faster than SB3's ``train``."""

    def make_update(self, model: Any) -> Update:
        """
        Make the replacement of a model's ``train``.

        :param model: the model, ready to learn
        :return: the update
        :raises NotCovered: if there is no update for the model
        """
        from sb3_ext.engines.torch_updates.update_list import UPDATES

        train = getattr(type(model), "train", None)  # ARS has none
        for update in UPDATES:
            if any(train is algorithm.train for algorithm in update.algorithms):
                return update(model)
        raise NotCovered(f"there is no update for {name_type(model)}")
