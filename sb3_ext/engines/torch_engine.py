"""Updates that compute the same as SB3's ``train`` in less time, with torch alone."""

from __future__ import annotations

from typing import Any

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.engine import Engine
from sb3_ext.engines.torch_updates.torch_update import TorchUpdate
from sb3_ext.internals.torch import has_bfloat16_instructions


class TorchEngine(Engine):
    """Update models with torch alone, faster than SB3's ``train``."""

    def make_update(self, model: Any) -> TorchUpdate:
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


class TorchBfloat16Engine(TorchEngine):
    """
    Update models as :class:`TorchEngine` does, but compute features of images or boards in bfloat16, which has 8 bits
    of precision instead of 24. Processors with instructions for it take about three quarters of the time.
    """

    def make_update(self, model: Any) -> TorchUpdate:
        """
        Make the replacement of a model's ``train``.

        :param model: the model, ready to learn
        :return: the update
        :raises NotCovered: if there is no update for the model, its observations are not images or boards, or its
            device has no instructions for bfloat16
        """
        if model.device.type != "cpu" or not has_bfloat16_instructions():
            raise NotCovered(f"this {model.device.type} has no instructions for bfloat16")
        update = super().make_update(model)
        update.use_bfloat16()
        return update
