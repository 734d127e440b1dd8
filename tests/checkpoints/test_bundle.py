"""A bundle holds what was captured, is there whole or not at all, and shows every change."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.buffers import ReplayBuffer

from sb3_ext.checkpoints.bundle.bundle import Bundle, open_bundle, record_score, verify_bundle, write_bundle
from sb3_ext.checkpoints.bundle.content import BundleContent, capture_content
from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.restoration import restore_model
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import CheckpointError

MakeContent = Callable[..., BundleContent]
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sb3_ext", "sb3_ext_envs"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
try:
    import sb3_ext
except ModuleNotFoundError:
    pass
else:
    sys.exit("sb3_ext is not blocked")
from stable_baselines3 import DQN, PPO
for algorithm, path in zip((PPO, DQN), sys.argv[1:]):
    model = algorithm.load(path, device="cpu")
    print(model.num_timesteps, model.predict(model.observation_space.sample(), deterministic=True)[0])
"""


@pytest.fixture
def bundle(tmp_path: Path, make_content: MakeContent) -> Bundle:
    return write_bundle(tmp_path / "step_000000032", make_content(score=1.5))


def list_tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_bundle_has_the_documented_files(bundle: Bundle) -> None:
    assert list_tree(bundle.path) == [
        "manifest.json",
        "model.zip",
        "state/arrays.npz",
        "state/blobs/callbacks/0.bin",
        "state/blobs/environment.bin",
        "state/values.json",
        "vecnormalize.npz",
        "weights.safetensors",
    ]
    assert list(bundle.path.parent.iterdir()) == [bundle.path]
    assert verify_bundle(bundle.path) == open_bundle(bundle.path) == bundle
    assert (bundle.step, bundle.score, bundle.manifest.episode) == (32, Score(1.5, "evaluation"), 3)
    assert (bundle.manifest.exact, bundle.manifest.exact_reason) == (True, "the environments were saved")


def test_the_state_is_restored(bundle: Bundle, captured_state: CapturedState) -> None:
    state = bundle.read_state()

    assert (state.values, state.blobs) == (captured_state.values, captured_state.blobs)
    assert state.arrays.keys() == captured_state.arrays.keys()
    for name, array in captured_state.arrays.items():
        np.testing.assert_array_equal(state.arrays[name], array)


def test_a_bundle_without_state_is_not_exact(tmp_path: Path, tiny_ppo: PPO) -> None:
    bundle = write_bundle(tmp_path / "step_000000032", capture_content(tiny_ppo))

    assert (bundle.manifest.exact, bundle.manifest.exact_reason) == (False, "no state was captured")
    with pytest.raises(CheckpointError, match="no run can resume from it"):
        bundle.read_state()


def test_a_custom_replay_buffer_is_left_out_with_a_note_in_the_manifest(
    tmp_path: Path, captured_state: CapturedState
) -> None:
    own: Any = type("PrioritizedBuffer", (ReplayBuffer,), {})
    model = DQN("MlpPolicy", "CartPole-v1", replay_buffer_class=own, buffer_size=10, device="cpu")

    bundle = write_bundle(tmp_path / "a", capture_content(model, state=captured_state))

    assert not bundle.has_replay
    assert not bundle.manifest.exact
    assert bundle.manifest.exact_reason == "the replay buffer is a PrioritizedBuffer, which cannot be saved"


def test_model_zip_equals_a_stock_save(bundle: Bundle, tiny_ppo: PPO) -> None:
    stock = BytesIO()
    tiny_ppo.save(stock)

    with zipfile.ZipFile(bundle.model_path) as found, zipfile.ZipFile(stock) as expected:
        assert sorted(found.namelist()) == sorted(expected.namelist())
        for name in expected.namelist():
            assert found.read(name) == expected.read(name), name


def test_stock_sb3_loads_model_zip_without_this_package(bundle: Bundle, tiny_dqn: DQN, tmp_path: Path) -> None:
    dqn = write_bundle(tmp_path / "step_000000064", capture_content(tiny_dqn))

    command = [sys.executable, "-c", BLOCKED, str(bundle.model_path), str(dqn.model_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["32", "64"]


def test_every_tensor_is_in_the_weights_once(tmp_path: Path) -> None:
    kwargs = {"net_arch": [4], "features_extractor_kwargs": {}, "share_features_extractor": True}
    model = SAC("MlpPolicy", "Pendulum-v1", buffer_size=10, policy_kwargs=kwargs, device="cpu")
    bundle = write_bundle(tmp_path / "step_000000000", capture_content(model))

    tensors = load_file(bundle.weights_path)

    assert tensors.keys() <= model.policy.state_dict().keys()
    assert len({tensor.data_ptr() for tensor in model.policy.state_dict().values()}) == len(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, model.policy.state_dict()[name])


def test_captured_content_does_not_change_with_training(tmp_path: Path) -> None:
    model = DQN(
        "MlpPolicy", "CartPole-v1", buffer_size=50, learning_starts=4, policy_kwargs={"net_arch": [4]}, device="cpu"
    )
    model.learn(16)
    content = capture_content(model)
    before = write_bundle(tmp_path / "before", content)

    model.learn(16, reset_num_timesteps=False)
    after = write_bundle(tmp_path / "after", content)

    names = before.manifest.files.keys() - {"model.zip"}  # has the time of day in its entries
    assert {name: after.manifest.files[name] for name in names} == {name: before.manifest.files[name] for name in names}
    with zipfile.ZipFile(before.model_path) as first, zipfile.ZipFile(after.model_path) as second:
        assert {name: first.read(name) for name in first.namelist()} == {
            name: second.read(name) for name in first.namelist()
        }


@pytest.mark.parametrize("algorithm", [DQN, SAC])
def test_a_model_is_restored_exactly(tmp_path: Path, algorithm: type[DQN] | type[SAC]) -> None:
    env_id = "CartPole-v1" if algorithm is DQN else "Pendulum-v1"
    kwargs = {"buffer_size": 40, "learning_starts": 8, "policy_kwargs": {"net_arch": [4]}, "device": "cpu"}
    model = algorithm("MlpPolicy", env_id, seed=1, **kwargs)  # type: ignore[arg-type]
    model.learn(60)
    bundle = write_bundle(tmp_path / "step_000000060", capture_content(model))

    restored = algorithm("MlpPolicy", env_id, seed=2, **kwargs)  # type: ignore[arg-type]
    restore_model(restored, bundle)

    if isinstance(restored, SAC):  # it is still the tensor that its optimizer changes
        assert restored.ent_coef_optimizer is not None
        assert restored.ent_coef_optimizer.param_groups[0]["params"][0] is restored.log_ent_coef
    again = write_bundle(tmp_path / "again", capture_content(restored))
    assert again.manifest.files["weights.safetensors"] == bundle.manifest.files["weights.safetensors"]
    with zipfile.ZipFile(bundle.model_path) as first, zipfile.ZipFile(again.model_path) as second:
        for name in (name for name in first.namelist() if name.endswith(".pth")):
            assert first.read(name) == second.read(name), name
    assert model.replay_buffer is not None
    assert restored.replay_buffer is not None
    np.testing.assert_array_equal(restored.replay_buffer.observations, model.replay_buffer.observations)


def test_another_model_is_refused(bundle: Bundle) -> None:
    with pytest.raises(CheckpointError, match="does not fit the model"):
        restore_model(PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [5]}, device="cpu"), bundle)
    with pytest.raises(CheckpointError, match="the checkpoint has a VecNormalize, the model has none"):
        restore_model(PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [4]}, device="cpu"), bundle)


def test_a_score_can_be_recorded_later(bundle: Bundle) -> None:
    scored = record_score(bundle, Score(-3.0, "evaluation"))

    assert verify_bundle(bundle.path) == scored
    assert scored.score == Score(-3.0, "evaluation")
    assert scored.manifest.files == bundle.manifest.files


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_failing_disk_raises_an_error_and_leaves_no_files(
    tmp_path: Path, make_content: MakeContent, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match=f"step_000000032 could not be written: {os.strerror(number)}"):
        write_bundle(tmp_path / "step_000000032", make_content())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.zip", "manifest.json", "state/values.json"])
def test_a_missing_file_is_detected(bundle: Bundle, name: str) -> None:
    (bundle.path / name).unlink()

    with pytest.raises(CheckpointError, match=r"missing|no checkpoint"):
        open_bundle(bundle.path)


def test_a_file_that_is_a_link_elsewhere_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    shutil.move(bundle.model_path, tmp_path / "elsewhere")
    bundle.model_path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CheckpointError, match=r"model.zip is missing"):
        verify_bundle(bundle.path)
