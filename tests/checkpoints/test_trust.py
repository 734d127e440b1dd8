"""Seventy files built to do harm: none runs anything, none fills the memory, each is refused in one line or ignored."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from stable_baselines3 import DQN, PPO

from sb3_ext.checkpoints.bundle.bundle import write_bundle
from sb3_ext.checkpoints.bundle.content import capture_content
from sb3_ext.checkpoints.state.captured_state import CapturedState

LOADER = """
import json, resource, sys
from pathlib import Path
import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from sb3_ext.checkpoints.model_loading import load_model
from sb3_ext.checkpoints.bundle.bundle import verify_bundle
from sb3_ext.errors import CheckpointError

root, events = Path(sys.argv[1]), []
SUSPICIOUS = ("pickle.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.", "socket.", "os.remove")
env = gym.make("CartPole-v1")
PPO("MlpPolicy", env, device="cpu")  # whatever is imported late is imported now
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def watch(event, arguments):
    if event.startswith(SUSPICIOUS) or (event == "open" and "canary" in str(arguments[0])):
        events.append(f"{event} {arguments}")

sys.addaudithook(watch)
results = {}
for path in sorted(root.glob("artefact *")):
    events.clear()
    try:
        if path.suffix == ".zip":
            load_model(path, env=env, algorithm="ppo", device="cpu")
        else:
            load_model(path, device="cpu")
            verify_bundle(path).read_normalization()
        error = None
    except CheckpointError as found:
        error = str(found)
    results[path.name] = {"error": error, "events": list(events)}
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
canary_before = (root / "canary").exists()
try:
    PPO.load(sorted(root.glob("artefact data learning_rate.zip"))[0], device="cpu")
except AssertionError:
    pass  # an open file is no schedule
print(json.dumps({"results": results, "grown": grown, "canaries": [canary_before, (root / "canary").exists()]}))
"""


class Payload:
    """Unpickled anywhere, it leaves a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.canary), "w")


class Workshop:
    """Where the artefacts are built, from a sound zip and a sound checkpoint."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.payload = pickle.dumps(Payload(root / "canary"))
        kwargs = {"net_arch": [4], "activation_fn": torch.nn.ReLU}
        self.model = PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, policy_kwargs=kwargs, device="cpu")
        buffer = io.BytesIO()
        self.model.save(buffer)
        with zipfile.ZipFile(buffer) as archive:
            self.members = {name: archive.read(name) for name in archive.namelist()}
        self.data: dict[str, Any] = json.loads(self.members["data"])

    def zip(self, name: str, changes: dict[str, bytes | None] | None = None, *, deflate: bool = False) -> Path:
        path = self.root / f"artefact {name}.zip"
        members = {**self.members, **(changes or {})}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as archive:
            for member, content in members.items():
                if content is not None:
                    archive.writestr(zipfile.ZipInfo(member), content, archive.compression)
        return path

    def zip_data(self, name: str, **changes: Any) -> Path:
        return self.zip(name, {"data": json.dumps({**self.data, **changes}).encode()})

    def zip_weights(self, name: str, weights: Any) -> Path:
        buffer = io.BytesIO()
        torch.save(weights, buffer)
        return self.zip(name, {"policy.pth": buffer.getvalue()})

    def torch_archive(self, **changes: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(self.members["policy.pth"])) as source, zipfile.ZipFile(buffer, "w") as target:
            for member in source.namelist():
                part = member.rpartition("/")[2]
                target.writestr(member, changes.get(part.replace(".", "_"), source.read(member)))
        return buffer.getvalue()

    def bundle(self, name: str, files: dict[str, bytes] | None = None, model: Any = None, **described: Any) -> Path:
        """A checkpoint whose manifest fits its files, whatever they are."""
        state = CapturedState(
            values={"environment": {"exact": True, "reason": ""}}, blobs={"environment": self.payload}
        )
        path = write_bundle(self.root / f"artefact {name}", capture_content(model or self.model, state=state)).path
        manifest = json.loads((path / "manifest.json").read_text())
        for file, content in (files or {}).items():
            (path / file).write_bytes(content)
            manifest["files"][file] = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for key, value in described.items():
            old = manifest["model"][key]
            manifest["model"][key] = {**old, **value} if key.endswith("arguments") else value
        del manifest["sha256"]
        digest = hashlib.sha256((json.dumps(manifest, indent=2) + "\n").encode()).hexdigest()
        (path / "manifest.json").write_text(json.dumps({**manifest, "sha256": digest}, indent=2) + "\n")
        return path

    def weights_file(self, change: Callable[[dict[str, torch.Tensor]], None], **metadata: str) -> bytes:
        path = write_bundle(self.root / "sound", capture_content(self.model)).weights_path
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata or {"aliases": "{}"})
        content = path.read_bytes()
        for file in sorted(path.parent.rglob("*"), reverse=True):
            file.unlink()
        path.parent.rmdir()
        return content


Build = Callable[[Workshop, str], object]
IGNORED = None
"""The harmful part is never looked at: the model loads."""
ARTEFACTS: dict[str, tuple[str | None, Build]] = {}


def add(name: str, message: str | None, build: Build) -> None:
    ARTEFACTS[name] = (message, build)


def serialize(workshop: Workshop, **more: Any) -> dict[str, Any]:
    text = base64.b64encode(workshop.payload).decode()
    return {":type:": "<class 'function'>", ":serialized:": text, **more}


for key in (
    "policy_class",
    "learning_rate",
    "lr_schedule",
    "clip_range",
    "observation_space",
    "action_space",
    "n_steps",
):
    add(f"data {key}", IGNORED, lambda shop, name: shop.zip_data(name, **{name.split()[1]: serialize(shop)}))
for key in ("_last_obs", "ep_info_buffer", "rollout_buffer_class", "action_noise", "env", "__class__"):
    add(f"data {key}", IGNORED, lambda shop, name: shop.zip_data(name, **{name.split()[1]: serialize(shop)}))
add(
    "data policy_kwargs",
    IGNORED,
    lambda shop, name: shop.zip_data(
        name, policy_kwargs=serialize(shop, net_arch=[4], activation_fn="<class 'torch.nn.modules.activation.ReLU'>")
    ),
)
for member in ("policy.optimizer.pth", "pytorch_variables.pth", "tensors.pth", "ent_coef_optimizer.pth"):
    add(f"pickle in {member}", IGNORED, lambda shop, name: shop.zip(name, {name.split()[2]: shop.payload}))
add(
    "pickle in policy.pth",
    "contains more than tensors",
    lambda shop, name: shop.zip(name, {"policy.pth": shop.payload}),
)
add(
    "pickle in a torch archive",
    "contains more than tensors",
    lambda shop, name: shop.zip(name, {"policy.pth": shop.torch_archive(data_pkl=shop.payload)}),
)
add(
    "a module instead of tensors",
    "contains more than tensors",
    lambda shop, name: shop.zip_weights(name, torch.nn.Linear(2, 2)),
)
add(
    "an object among the tensors",
    "contains more than tensors",
    lambda shop, name: shop.zip_weights(name, {"a": Path()}),
)
SLIPS = ("../evil", "/tmp/evil", "a/../../evil.pth", "C:\\evil.pth", ".bashrc", "sub/policy.pth")
for number in range(len(SLIPS)):
    add(
        f"slip {number}",
        "unexpected member",
        lambda shop, name: shop.zip(name, {SLIPS[int(name.split()[1])]: b"evil"}),
    )


def build_twice(shop: Workshop, name: str, member: str) -> None:
    path = shop.zip(name)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(member, shop.members[member])


add("two of data", "is there 2 times", lambda shop, name: build_twice(shop, name, "data"))
add("two of policy.pth", "is there 2 times", lambda shop, name: build_twice(shop, name, "policy.pth"))
ZEROS = bytes(200 * 2**20)
add("bomb in data", "claim to unpack to", lambda shop, name: shop.zip(name, {"data": ZEROS}, deflate=True))
add("bomb in policy.pth", "claim to unpack to", lambda shop, name: shop.zip(name, {"policy.pth": ZEROS}, deflate=True))
add("bomb of members", "1005 members", lambda s, n: s.zip(n, {f"{index}.pth": b"" for index in range(999)}))


def build_torch_bomb(shop: Workshop, name: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", shop.payload)
        archive.writestr("archive/data/0", ZEROS)
    shop.zip(name, {"policy.pth": buffer.getvalue()})


def find_directory(content: bytes | bytearray) -> int:
    end = content.rindex(b"PK\x05\x06")
    return int.from_bytes(content[end + 16 : end + 20], "little")


def build_liar(shop: Workshop, name: str, offset: int, value: int) -> None:
    """A central directory that claims another size for its first member."""
    path = shop.zip(name)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, find_directory(content) + offset, value)
    path.write_bytes(content)


def build_overlap(shop: Workshop, name: str) -> None:
    """All members of the central directory point to the same, largest one."""
    path = shop.zip(name, {f"{index}.pth": shop.members["policy.pth"] for index in range(20)})
    content = bytearray(path.read_bytes())
    place, entries = find_directory(content), []
    while content[place : place + 4] == b"PK\x01\x02":
        entries.append(place)
        lengths = struct.unpack_from("<HHH", content, place + 28)
        place += 46 + sum(lengths)
    first = content[entries[-1] + 42 : entries[-1] + 46]
    for entry in entries:
        content[entry + 42 : entry + 46] = first
    path.write_bytes(content)


add("bomb in a torch archive", "claim to unpack to", build_torch_bomb)
add("claims to be huge", "claim to unpack to", lambda shop, name: build_liar(shop, name, 24, 2**32 - 2))
add("claims to be longer than the file", "claim to unpack to", lambda shop, name: build_liar(shop, name, 20, 2**31))
add("is encrypted", "encrypted members", lambda shop, name: build_liar(shop, name, 8, 1))
add("overlaps itself", "is damaged", build_overlap)


def write_file(shop: Workshop, name: str, content: bytes) -> None:
    (shop.root / f"artefact {name}.zip").write_bytes(content)


add("is empty", "not a readable zip file", lambda shop, name: write_file(shop, name, b""))
add("is a pickle", "not a readable zip file", lambda shop, name: write_file(shop, name, shop.payload))
add(
    "is cut short",
    "not a readable zip file|unexpected member",
    lambda shop, name: write_file(shop, name, shop.zip("is cut").read_bytes()[:-30]),
)
add("is cut", "not a readable zip file", lambda shop, name: write_file(shop, name, b"PK\x05\x06"))
add("has no data", "has no member data", lambda shop, name: shop.zip(name, {"data": None}))
add("has no policy", "has no member policy.pth", lambda shop, name: shop.zip(name, {"policy.pth": None}))
add("data is a pickle", "data is not JSON", lambda shop, name: shop.zip(name, {"data": shop.payload}))
add("data is a list", "expected an object", lambda shop, name: shop.zip(name, {"data": b"[]"}))
add("data is deep", "data is not JSON", lambda shop, name: shop.zip(name, {"data": b"[" * 10**6}))
add(
    "data has a huge number", "data is not JSON", lambda s, n: s.zip(n, {"data": b'{"n_steps": ' + b"9" * 10**5 + b"}"})
)

READABLE = {"net_arch": [4], "activation_fn": "<class 'torch.nn.modules.activation.ReLU'>"}


def describe(**changes: Any) -> Build:
    return lambda shop, name: shop.zip_data(name, policy_kwargs=serialize(shop, **{**READABLE, **changes}))


add("activation is eval", "not one of the supported classes", describe(activation_fn="<class 'builtins.eval'>"))
add("activation is system", "not one of the supported classes", describe(activation_fn="os.system"))
add(
    "extractor is Popen",
    "not one of the supported classes",
    describe(features_extractor_class="<class 'subprocess.Popen'>"),
)
add("optimizer is a path", "not one of the supported classes", describe(optimizer_class="../evil"))
add("networks of terabytes", "weights do not fit|the model cannot be built", describe(net_arch=[10**6, 10**6]))
add("networks of many layers", "weights do not fit", describe(net_arch=[4] * 10**5))
add("networks of text", "the model cannot be built", describe(net_arch="__import__('os').system('true')"))
add("rollouts of terabytes", "the model cannot be built", lambda shop, name: shop.zip_data(name, n_steps=10**15))
add("rollouts of text", "the model cannot be built", lambda shop, name: shop.zip_data(name, n_steps="8"))


def change_weights(change: Callable[[dict[str, Any]], object]) -> Build:
    def build(shop: Workshop, name: str) -> None:
        weights = dict(shop.model.policy.state_dict())
        change(weights)
        shop.zip_weights(name, weights)

    return build


add("weights of another shape", "has shape", change_weights(lambda w: w.update({"action_net.bias": torch.zeros(3)})))
add(
    "weights stretched",
    "has shape",
    change_weights(lambda w: w.update({"action_net.bias": torch.zeros(1).expand(2**40)})),
)
add("weights without one", "the checkpoint has no action_net.bias", change_weights(lambda w: w.pop("action_net.bias")))
add("weights with one more", "the model has no zzz", change_weights(lambda w: w.update(zzz=torch.zeros(1))))
add("weights of numbers", "has shape", change_weights(lambda w: w.update({"action_net.bias": 3})))


def build_stretched(shop: Workshop, name: str) -> None:
    """Weights that claim to be as many as the networks need."""
    data = {**shop.data, "policy_kwargs": serialize(shop, **{**READABLE, "net_arch": [30_000, 30_000]})}
    buffer = io.BytesIO()
    torch.save({"action_net.bias": torch.zeros(1).expand(2**40)}, buffer)
    shop.zip(name, {"data": json.dumps(data).encode(), "policy.pth": buffer.getvalue()})


add("weights stretched for gigabytes", "weights do not fit", build_stretched)
add("weights in a list", "expected a state dict", lambda shop, name: shop.zip_weights(name, [torch.zeros(1)]))

add("bundle algorithm", "needs its own code", lambda s, n: s.bundle(n, algorithm=None, algorithm_class="os.system"))
add("bundle unknown algorithm", "needs its own code", lambda shop, name: shop.bundle(name, algorithm="os:system"))
add("bundle policy", "has no policy", lambda shop, name: shop.bundle(name, policy="os:system"))
add("bundle own policy", "needs its own code", lambda shop, name: shop.bundle(name, policy=None, own_code=["policy x"]))
add(
    "bundle extractor",
    "not one of the supported classes",
    lambda s, n: s.bundle(n, policy_arguments={"features_extractor_class": "os"}),
)
add(
    "bundle activation",
    "not one of the supported classes",
    lambda s, n: s.bundle(n, policy_arguments={"activation_fn": "system"}),
)
add("bundle networks", "weights do not fit", lambda s, n: s.bundle(n, policy_arguments={"net_arch": [3000, 3000]}))
add("bundle terabytes", "weights|no model", lambda s, n: s.bundle(n, policy_arguments={"net_arch": [10**6, 10**6]}))
add("bundle env", "takes no argument 'env'", lambda shop, name: shop.bundle(name, arguments={"env": "evil:Env-v0"}))
add("bundle log", "takes no argument 'tensorb", lambda s, n: s.bundle(n, arguments={"tensorboard_log": "/tmp/evil"}))
add("bundle space", "an invalid space", lambda s, n: s.bundle(n, observation_space={"type": "Box", "shape": [2**40]}))
add(
    "bundle environments",
    "model.num_envs|the model cannot be built",
    lambda shop, name: shop.bundle(name, num_envs=10**15),
)
add("bundle of pickled weights", "cannot be read", lambda s, n: s.bundle(n, {"weights.safetensors": s.payload}))
add(
    "bundle of other weights",
    "the checkpoint has no",
    lambda s, n: s.bundle(n, {"weights.safetensors": s.weights_file(lambda tensors: tensors.popitem() and None)}),
)
add(
    "bundle of strange aliases",
    "cannot be read",
    lambda s, n: s.bundle(n, {"weights.safetensors": s.weights_file(lambda _: None, aliases='{"a": ["b"]}')}),
)
add("bundle with a pickle for a zip", IGNORED, lambda shop, name: shop.bundle(name, {"model.zip": shop.payload}))


def pickle_arrays(shop: Workshop) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, configuration=np.array([Payload(shop.root / "canary")], object))
    return buffer.getvalue()


add("bundle of pickled arrays", "cannot be read", lambda s, n: s.bundle(n, {"vecnormalize.npz": pickle_arrays(s)}))
add(
    "bundle with a huge buffer",
    "buffer_size is 1000000000000",
    lambda shop, name: shop.bundle(name, model=make_dqn(), arguments={"buffer_size": 10**12}),
)


def make_dqn() -> DQN:
    return DQN("MlpPolicy", "CartPole-v1", buffer_size=10, policy_kwargs={"net_arch": [4]}, device="cpu")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("artefacts")
    shop = Workshop(root)
    for name, (_, build) in ARTEFACTS.items():
        build(shop, name)
    result = subprocess.run([sys.executable, "-c", LOADER, str(root)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


@pytest.mark.parametrize("name", list(ARTEFACTS))
def test_no_code_is_run(report: dict[str, Any], name: str) -> None:
    found = next(
        value for key, value in report["results"].items() if key in (f"artefact {name}", f"artefact {name}.zip")
    )
    message = ARTEFACTS[name][0]

    assert found["events"] == []
    if message is IGNORED:
        assert found["error"] is None
    else:
        assert any(part in found["error"] for part in message.split("|")), found["error"]
        assert "\n" not in found["error"]


def test_malicious_files_are_many_and_run_code_in_stock_sb3(report: dict[str, Any]) -> None:
    assert len(report["results"]) == len(ARTEFACTS) >= 50
    assert report["canaries"] == [False, True]  # not by us, but by stock SB3


def test_memory_stays_bounded_for_every_file(report: dict[str, Any]) -> None:
    assert report["grown"] < 100  # MiB
