"""A manifest survives as it is, and shows every change to itself."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from stable_baselines3 import PPO

from sb3_ext.checkpoints.bundle.manifest import FileEntry, Manifest, Score, is_inside, parse_manifest, render_manifest
from sb3_ext.checkpoints.model.architecture import describe_model
from sb3_ext.errors import CheckpointError


@pytest.fixture
def manifest(tiny_ppo: PPO) -> Manifest:
    return Manifest(
        step=32,
        episode=3,
        time="2026-11-20T12:00:00.000+00:00",
        score=Score(475.5, "evaluation"),
        exact=True,
        exact_reason="ε was saved",
        versions={"python": "3.11.0"},
        model=describe_model(tiny_ppo),
        files={"model.zip": FileEntry(3, "0" * 64), "state/blobs/a-b.bin": FileEntry(0, "f" * 64)},
    )


def forge(manifest: Manifest, **changes: Any) -> str:
    """A manifest with other values, and with the sha256 that belongs to them."""
    content = json.loads(render_manifest(manifest)) | changes
    del content["sha256"]
    digest = hashlib.sha256((json.dumps(content, indent=2) + "\n").encode()).hexdigest()
    return json.dumps({**content, "sha256": digest}, indent=2) + "\n"


def test_a_manifest_is_restored_from_its_json(manifest: Manifest) -> None:
    assert parse_manifest(render_manifest(manifest).encode()) == manifest
    assert forge(manifest) == render_manifest(manifest)


def test_its_last_entry_is_the_sha256_of_the_rest(manifest: Manifest) -> None:
    content = json.loads(render_manifest(manifest))

    assert list(content)[-1] == "sha256"


def test_every_changed_byte_is_detected(manifest: Manifest) -> None:
    text = render_manifest(manifest)

    for place in range(len(text)):
        changed = chr(ord(text[place]) ^ 1)
        with pytest.raises(CheckpointError, match="damaged"):
            parse_manifest((text[:place] + changed + text[place + 1 :]).encode())


def test_every_truncation_is_detected(manifest: Manifest) -> None:
    text = render_manifest(manifest)

    for length in range(len(text)):
        with pytest.raises(CheckpointError, match="damaged"):
            parse_manifest(text[:length].encode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 4}, "has format 4, but this version of sb3_ext reads 1 to 3"),
        ({"step": -1}, "step: Input should be greater"),
        ({"step": "32"}, "step: Input should be a valid integer"),
        ({"score": {"value": "high", "of": "x"}}, "score.value"),
        ({"exact": 1}, "exact"),
        ({"unknown": 1}, "unknown"),
        ({"model": {}}, "model.algorithm"),
        ({"files": {"../../.bashrc": {"size_bytes": 1, "sha256": "0" * 64}}}, "outside the checkpoint"),
        ({"files": {"/etc/passwd": {"size_bytes": 1, "sha256": "0" * 64}}}, "outside the checkpoint"),
        ({"files": {"model.zip": {"size_bytes": 1, "sha256": "x"}}}, "files.model.zip.sha256"),
    ],
)
def test_an_invalid_manifest_is_an_error_of_one_line(manifest: Manifest, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        parse_manifest(forge(manifest, **changes).encode())

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"sha256": 1}', "[" * 10**5, '{"a":' * 10**5, "NaN", "\udcff"]
)
def test_other_json_is_an_error(text: str) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        parse_manifest(text.encode(errors="surrogateescape"))


@pytest.mark.parametrize("name", ["", "/a", "a//b", "..", "a/../b", "a/..", ".hidden", "a\\b", "a\nb", "a/", "C:a"])
def test_names_outside_the_checkpoint_are_refused(name: str) -> None:
    assert not is_inside(name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match="value must be finite, but got"):
        Score(value, "evaluation")
