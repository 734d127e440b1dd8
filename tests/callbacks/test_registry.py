from __future__ import annotations

from pathlib import Path

import pytest

from sb3_ext.callbacks import EpsilonDecayCallback, LearningRateDecayCallback
from sb3_ext.callbacks.registry import CALLBACK_TYPES, load_callback_class
from sb3_ext.errors import ConfigError


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_callbacks_module.py").write_text(
        "from stable_baselines3.common.callbacks import BaseCallback\n"
        "class Mine(BaseCallback):\n    def _on_step(self): return True\n"
        "class NoCallback: pass\n"
        "value = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "my_callbacks_module"


def test_knows_callbacks_by_name() -> None:
    assert load_callback_class("epsilon_decay") is EpsilonDecayCallback
    assert load_callback_class("lr_decay") is LearningRateDecayCallback


def test_every_name_leads_to_a_class() -> None:
    for name, path in CALLBACK_TYPES.items():
        assert load_callback_class(name).__name__ == path.partition(":")[2]


def test_imports_the_user_s_own(user_module: str) -> None:
    assert load_callback_class(f"{user_module}:Mine").__name__ == "Mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epsilon_decai", "unknown callback 'epsilon_decai'; did you mean 'epsilon_decay'"),
        ("nothing like it", "unknown callback 'nothing like it'; expected one of .*or module:Name"),
        ("my_callbacks_module:Mime", "callback 'my_callbacks_module:Mime': .*has no 'Mime'; did you mean 'Mine'"),
        ("my_callbacks_module:NoCallback", "expected a class derived from SB3's BaseCallback, found <class"),
        ("my_callbacks_module:value", "expected a class derived from SB3's BaseCallback, found 3"),
        ("no_such_module:Mine", "callback 'no_such_module:Mine': cannot import module 'no_such_module'"),
    ],
)
@pytest.mark.usefixtures("user_module")
def test_says_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_callback_class(name)
