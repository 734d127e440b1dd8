"""Two checkpoints, a model with more to save, and a judge of what a broken save has left."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from stable_baselines3 import DQN

from fault_injection import FaultyDisk
from sb3_ext.checkpoints.bundle import replay_files
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.restoration import restore_model
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.checkpoint_writer import BundleWriter
from sb3_ext.checkpoints.store.retention import Retention

EVERY_STEPS = 16
_KEPT = Retention(keep_last=2)


class Bench:
    """
    A directory with two checkpoints, and a model with more to save.

    :param root: an empty directory
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        replay_files._COPIED_BYTES = 0  # share files as if the buffer were large
        self.model = make_model()
        self.digests: dict[int, str] = {}
        with BundleWriter(CheckpointStore(root / "original")) as writer:
            for _ in range(2):
                writer.save(writer.capture(self._train()))
        self._train()

    def _train(self) -> DQN:
        self.model.learn(EVERY_STEPS, reset_num_timesteps=False)
        self.digests[self.model.num_timesteps] = hash_model(self.model)
        return self.model

    def copy(self) -> CheckpointStore:
        """:return: the two checkpoints once more"""
        shutil.rmtree(self.root / "copy", ignore_errors=True)
        shutil.copytree(self.root / "original", self.root / "copy", symlinks=True)
        return CheckpointStore(self.root / "copy")

    def save(self, store: CheckpointStore, disk: FaultyDisk) -> tuple[int, bool]:
        """
        Save once on a disk that fails, and once more on a sound one.

        :return: how many errors the first save was, and whether the second one succeeded
        """
        with BundleWriter(store, retention=_KEPT) as writer:
            bundle = store.resolve("latest")
            index = restore_model(make_model(), bundle)
            assert index is not None
            writer.continue_from(self.model, bundle, index)
            content = writer.capture(self.model)
            with disk.inserted():
                writer.save(content)
                errors = count_errors(writer)
            writer.save(content)
            return errors, count_errors(writer) == 0

    def find_problem(self, store: CheckpointStore) -> str | None:
        """:return: what is wrong with what a save has left; ``None`` if it is as it must be"""
        before_start = store.find_latest()
        store.prepare()
        bundle = store.find_latest(set_aside=True)
        if bundle is None or bundle != before_start:
            return f"the latest checkpoint is {bundle and bundle.step}"
        if hash_model(load(bundle)) != self.digests[bundle.step]:
            return f"step {bundle.step} does not load to the bit"
        if bundle.step < 2 * EVERY_STEPS or len(store.list_bundles()) < 2:
            return "a checkpoint is lost"
        left = [path.name for path in store.directory.rglob(".*")] + list(store.directory.glob("*.corrupt"))
        return f"{left} are left" if left else None


def make_model() -> DQN:
    """:return: a small DQN, always the same"""
    kwargs = {"net_arch": [8]}
    keywords = {"buffer_size": 40, "learning_starts": 4, "policy_kwargs": kwargs, "seed": 0, "device": "cpu"}
    return DQN("MlpPolicy", "CartPole-v1", **keywords)  # type: ignore[arg-type]


def load(bundle: Bundle) -> DQN:
    """:return: a new model with the checkpoint's weights, optimizer and replay buffer"""
    model = make_model()
    restore_model(model, bundle)
    return model


def hash_model(model: DQN) -> str:
    """:return: a sha256 over weights, optimizer and replay buffer"""
    assert model.replay_buffer is not None
    digest = hashlib.sha256()
    for tensor in [*model.policy.state_dict().values(), *_list_tensors(model.policy.optimizer.state_dict())]:
        digest.update(tensor.numpy().tobytes())
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        digest.update(getattr(model.replay_buffer, name).tobytes())
    digest.update(f"{model.replay_buffer.pos} {model.replay_buffer.full}".encode())
    return digest.hexdigest()


def count_errors(writer: BundleWriter) -> int:
    """:return: how many errors the saves so far were, once they have ended"""
    writer._wait()
    return sum(outcome.error is not None for outcome in writer.take_outcomes())


def run_in_child(job: Callable[[], Any]) -> Any:
    """:return: the job's result as JSON; ``None`` if the process died"""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's threads stand still
        child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            os.write(writer, json.dumps(job()).encode())
            os._exit(0)
        except BaseException as error:
            os.write(writer, json.dumps(f"{type(error).__name__}: {error}").encode())
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else None


def _list_tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _list_tensors(member)
