"""Give wrappers access to the attributes of the environment inside."""

from __future__ import annotations

from typing import Any

import gymnasium


class AttributeForwarding(gymnasium.Wrapper[Any, Any, Any, Any]):
    """
    Expose the public attributes of the environment as attributes of ``self.env`` of the wrapper outside.

    Since Gymnasium 1.0, wrappers no longer forward attributes, and ``gymnasium.make`` puts several around each
    environment. A wrapper that reads ``self.env.name`` fails, for example sb3_contrib's ``ActionMasker`` with the name
    of a method. With this wrapper in between it works::

        env = ActionMasker(AttributeForwarding(gymnasium.make("My-v0")), "find_legal_actions")

    :param env: the environment, perhaps in other wrappers
    """

    def __getattr__(self, name: str) -> Any:
        if not self._is_forwarded(name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.env.get_wrapper_attr(name)

    def __setattr__(self, name: str, value: Any) -> None:
        is_own = hasattr(type(self), name) or name in vars(self)
        if not is_own and self._is_forwarded(name) and self.env.has_wrapper_attr(name):
            self.env.set_wrapper_attr(name, value)
        else:
            super().__setattr__(name, value)

    def _is_forwarded(self, name: str) -> bool:
        # "env" is missing while an object is unpickled.
        return not name.startswith("_") and "env" in vars(self)
