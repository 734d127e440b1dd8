"""The pages of documentation, and what they contain: commands, configurations, examples, links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("configs", "envs", "sb3_ext", "zoo_scripts")


def find_pages() -> list[str]:
    """:return: the README at the top and those in the folders, as paths below the root; without those of templates"""
    found = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("README.md")))
    found = (path for path in found if "template" not in path.parts)
    return ["README.md", *(str(path.relative_to(ROOT)) for path in found)]


def read_page(page: str) -> str:
    return (ROOT / page).read_text()


def find_blocks(page: str, language: str, before: str = "") -> list[str]:
    """
    :param before: a regular expression for what precedes the block
    :return: the contents of the code blocks of a language
    """
    return re.findall(rf"^{before}```{language}\n(.*?)^```$", read_page(page), re.MULTILINE | re.DOTALL)


def find_commands(page: str) -> list[str]:
    """:return: the command lines in shell blocks, without comments"""
    lines = [line for block in find_blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    commands = [re.sub(r"\s+#.*", "", line).strip() for line in lines]
    return [re.sub(r" {2,}", " ", command) for command in commands if command]


def find_examples(page: str, *, quick: bool) -> list[str]:
    """
    :param quick: those that ``<!-- run -->`` marks, which every check runs, or the others
    :return: the Python examples
    """
    marked = find_blocks(page, "python", "<!-- run -->\n")
    return [code for code in find_blocks(page, "python") if (code in marked) == quick]


def find_anchors(page: str) -> set[str]:
    """:return: what a link may have behind ``#``, from the headings"""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", read_page(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
