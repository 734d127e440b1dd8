"""Parse YAML into plain data and line numbers; malicious input is refused."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_ext.config.yaml_document import MAX_BYTES, parse_document
from sb3_ext.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1e6", 1e6),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("10_000", 10_000),
        ("0x10", 16),
        ("007", 7),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("~", None),
        ("", None),
        ("null", None),
        ("2026-01-01", "2026-01-01"),
        ("12:30", "12:30"),
        ("1.2.3", "1.2.3"),
        ("'3'", "3"),
        ("linear(3e-4)", "linear(3e-4)"),
        ("[1, episode]", [1, "episode"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("&x [1]", [1]),
        ("{a: &x [1], b: *x}", {"a": [1], "b": [1]}),
    ],
)
def test_values_follow_yaml_1_2(text: str, value: object) -> None:
    assert parse_document(text, "f").value == value


def test_lines_of_keys_and_items() -> None:
    lines = parse_document("a:\n  b: 1\nc:\n  - x\n  - y: 2\n", "f").lines
    assert lines == {("a",): 1, ("a", "b"): 2, ("c",): 3, ("c", 0): 4, ("c", 1): 5, ("c", 1, "y"): 5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\n\tb: 2\n", r"^f:2: not valid YAML: .*'\\t'"),
        ("a: [1\n", "^f:2: not valid YAML"),
        ("a: *nowhere", "^f:1: not valid YAML: found undefined alias"),
        (b"\xff\xfe\x00a", "^f: not a text file .*byte 0"),
        (b"a: \x00", "^f: not valid YAML"),
        ("a" * (MAX_BYTES + 1), "^f: too large"),
        ("[" * 100_000, "^f: nested too deeply"),
        ("{a: " * 60 + "1" + "}" * 60, "^f:1: nested too deeply"),
        ("&a [*a]", "^f:1: nested too deeply"),
        ("? [1]\n: 2", "^f:1: expected text as a key"),
        ("a: " + "9" * 5000, "^f:1: cannot read this as a number"),
        ("--- a\n--- b\n", "^f:2: not valid YAML: but found another document"),
        (
            "\n".join(
                ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
                + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
            ),
            "more than 20,000 values",
        ),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_malicious_input_is_refused_with_one_message(content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_document(content, "f")


def test_the_rest_is_read_after_duplicate_keys_and_tags() -> None:
    document = parse_document("a: 1\nb: !!python/object/apply:os.system [ls]\na: 2\n<<: {c: 3}\n", "f")
    assert [(problem.key, problem.message) for problem in document.problems] == [
        (("b",), "tag 'tag:yaml.org,2002:python/object/apply:os.system' is not accepted; write a plain value"),
        (("a",), "duplicate key, first given in line 1"),
    ]
    assert document.value == {"a": 2, "b": ["ls"], "<<": {"c": 3}}
    assert document.lines["a",] == 3


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200), st.text(alphabet="{}[]:,&*!|>-?#'\"\n\t ab1.e", max_size=80)
    )
)
def test_anything_is_parsed_or_refused(content: str | bytes) -> None:
    try:
        document = parse_document(content, "f")
    except ConfigError as error:
        messages = error.problems
    else:
        messages = [problem.message for problem in document.problems]
        yaml.safe_dump(document.value)  # plain data
    assert not any("\n" in message for message in messages)
