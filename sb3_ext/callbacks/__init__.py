"""
Callbacks for any Stable-Baselines3 training.

Each is a subclass of SB3's ``BaseCallback`` and takes plain values. Custom callbacks need no other base class. To keep
its state in a resumed training, a callback defines any of these:

- ``state_dict()`` and ``load_state_dict(state)``, see :class:`~sb3_ext.stateful.Stateful`. The state is plain JSON
  values and NumPy arrays. It is loaded once, in the first rollout of the resumed training, after the
  ``_on_training_start`` and ``_on_rollout_start`` of all callbacks: what these have changed is replaced.
- ``state_key``, a text that identifies the callback in a checkpoint. Without it, its state is found by the name of its
  class, and among several of one class by the plain arguments of their constructors that are kept in attributes of the
  same name.
- ``prepare_environments(state)``, for a callback that changes the environments: called in a resume with its own state,
  before the environments are restored or begin new episodes. It repeats the changes and returns whether there are any.
- ``close()``, which a run calls when training ends, also after an error.
"""

import lazy_loader

# __init__.pyi has the public names; the import of one does not load the modules of the others.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
