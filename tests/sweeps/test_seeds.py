"""Lists of seeds."""

from __future__ import annotations

import pytest

from sb3_ext.errors import ConfigError
from sb3_ext.sweeps.seeds import parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"), [("7", [7]), ("0..3", [0, 1, 2, 3]), ("5, 1..2,9", [5, 1, 2, 9]), ("4..4", [4])]
)
def test_numbers_and_ranges_are_read_in_their_order(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected numbers and ranges"),
        ("1-3", "expected numbers and ranges"),
        ("-1", "expected numbers and ranges"),
        ("3..1", r"the range 3\.\.1 is empty"),
        ("1,0..2", "a seed is given twice"),
        ("0..1000000000", "more than 10,000 seeds"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_seeds(text)
