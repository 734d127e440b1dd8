"""
Callbacks for any Stable-Baselines3 training.

Each is one of SB3's ``BaseCallback`` and takes plain values. Those with something to remember have ``state()``, which
gives plain JSON values, and ``restore(state)``, so that a resumed training continues where the first one was. This
works for callbacks of your own, too, with two more attributes that they may have: ``state_key``, a text that identifies
one among several of its class (without it they are told apart by the plain arguments of their constructors that are
kept in attributes of the same name), and a method ``close()``, which a run calls at its end.
"""

import lazy_loader

# __init__.pyi has the public names; the import of one does not load the modules of the others.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
