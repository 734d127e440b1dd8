"""Run the JavaScript of web pages in V8, without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from py_mini_racer import MiniRacer

FILES = Path(__file__).parents[2] / "sb3_ext" / "exporting" / "page_files"
# A function of browsers that V8 alone lacks.
ATOB = """
function atob(text) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  let bits = 0, count = 0, bytes = "";
  for (const letter of text.replace(/=+$/, "")) {
    bits = (bits << 6) | letters.indexOf(letter);
    count += 6;
    if (count >= 8) bytes += String.fromCharCode((bits >> (count -= 8)) & 255);
  }
  return bytes;
}
"""


class PageScripts:
    """
    Scripts in V8.

    :param names: files of ``page_files``
    """

    def __init__(self, *names: str) -> None:
        self._engine = MiniRacer()
        self._engine.eval(ATOB)
        for name in names:
            # A class of another script is only visible as a variable of the first one.
            text = (FILES / name).read_text().replace('"use strict";', "")
            self._engine.eval(text)

    def run(self, code: str, **values: Any) -> Any:
        """
        :param code: an expression of the values
        :param values: plain data
        :return: the result, plain data
        """
        names = ", ".join(values)
        arguments = ", ".join(json.dumps(value) for value in values.values())
        return json.loads(str(self._engine.eval(f"JSON.stringify((({names}) => ({code}))({arguments}))")))
