"""Base class of compiled programs that replace ``train``."""

from __future__ import annotations

from typing import Any, ClassVar

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine import Update


class XlaUpdate(Update):
    """
    Base class of updates that are compiled by XLA.

    :param model: the model, ready to learn
    :raises NotCovered: if a part of it is not supported
    """

    #: classes of algorithms whose ``train`` it replaces
    algorithms: ClassVar[tuple[type[Any], ...]] = ()

    def __init__(self, model: Any) -> None:
        if model.device.type != "cpu":
            raise NotCovered(f"the model is on the device {model.device}")
        self.model = model
