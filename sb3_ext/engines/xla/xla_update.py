"""What the programs that take the place of ``train`` share."""

from __future__ import annotations

from typing import Any, ClassVar

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine import Update


class XlaUpdate(Update):
    """
    Does to a model what the ``train`` of its algorithm does, as a program of XLA.

    :param model: ready to learn
    :raises NotCovered: if something of it is not known
    """

    #: whose ``train`` it replaces
    algorithms: ClassVar[tuple[type[Any], ...]] = ()

    def __init__(self, model: Any) -> None:
        if model.device.type != "cpu":
            raise NotCovered(f"the model is on the device {model.device}")
        self.model = model
