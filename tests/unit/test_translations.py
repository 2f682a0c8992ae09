"""Each page that exists in two languages says the same in both, as far as a program can tell.

Compared are headings, code blocks, tables, and of each section how many paragraphs and list items it has,
where its links lead, and what code words and numbers stand in it; not the wording. The English page comes
first: change it, then its translation. Whether links lead somewhere is tested in `test_docs`, for all pages.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import pytest

from tests.unit.test_docs import DOCUMENTS, ROOT

SUFFIX: Final = ".zh-CN.md"
PAGES: Final = ("README.md", "docs/protocol.md")
"""The pages that are translated, by the name of the English one."""

_BLOCK: Final = re.compile(r"^```(?:.*\n)*?```$|(?<=\n\n)(?: {4}\S.*\n)+", re.MULTILINE)
_HEADING: Final = re.compile(r"^(#+) (\d+\.)?.*$", re.MULTILINE)
_CELL_END: Final = re.compile(r"(?<!\\)\|")
_CODE: Final = re.compile(r"`([^`]+)`")
_LINK: Final = re.compile(r"(?<=\]\()[^)\s]+(?=\))|(?<=<)https?:[^>\s]+(?=>)")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_LATIN: Final = re.compile(r"[A-Za-z]")
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")


class Section(NamedTuple):
    """A heading, and what stands under it up to the next one."""

    level: int
    """0 above the first heading."""
    number: str
    """Of the heading, as "3."; "" if it has none."""
    prose: str
    """Without tables and code blocks."""
    tables: list[list[list[str]]]
    """The cells of each row of each table, the rule below the heads included."""


def code_blocks(page: str) -> list[str]:
    """List the fenced and the indented blocks of a page, as they stand there."""
    return _BLOCK.findall(page)


def sections(page: str) -> list[Section]:
    """Cut a page at its headings, after its code blocks have been taken out."""
    text = _BLOCK.sub("", page)
    headings = list(_HEADING.finditer(text))
    starts = [0, *(heading.end() for heading in headings)]
    ends = [*(heading.start() for heading in headings), len(text)]
    bodies = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    names = [(0, ""), *((len(heading[1]), heading[2] or "") for heading in headings)]
    return [Section(*name, *_split(body)) for name, body in zip(names, bodies, strict=True)]


def _split(body: str) -> tuple[str, list[list[list[str]]]]:
    """Tell the prose of a section from its tables."""
    prose: list[str] = []
    tables: list[list[list[str]]] = []
    in_table = False
    for line in body.splitlines():
        if not line.startswith("|"):
            prose.append(line)
        else:
            if not in_table:
                tables.append([])
            tables[-1].append([cell.strip() for cell in _CELL_END.split(line)[1:-1]])
        in_table = line.startswith("|")
    return "\n".join(prose), tables


def links(text: str) -> list[str]:
    """List where a text's links lead, as if to the English page where there is a translation, in no order."""
    targets = [target.replace(SUFFIX, ".md") for target in _LINK.findall(text)]
    return sorted(_without_anchor(target) for target in targets)


def _without_anchor(target: str) -> str:
    """Leave out the anchor that a translated heading calls otherwise."""
    name, _, anchor = target.partition("#")
    is_translated = any(page.endswith(name.removeprefix("../")) for page in PAGES)  # as the page itself, ""
    return f"{name}#" if anchor and is_translated else target


def code_words(text: str) -> list[str]:
    """List what a text sets as code, in no order."""
    return sorted(" ".join(word.split()) for word in _CODE.findall(text))


def numbers(text: str) -> list[str]:
    """List the numbers that a text writes in digits, outside code and links, in no order."""
    return sorted(_NUMBER.findall(_CODE.sub("", _LINK.sub("", text))))


def is_literal(cell: str) -> bool:
    """Whether an English cell stays as it is in every language: a code, a number, a text that is sent."""
    words = _CODE.sub("", cell)
    return bool(_CHINESE.search(words)) or not _LATIN.search(words)


def differences(english: str, chinese: str) -> list[str]:
    """Say in what the two versions of a page differ that should not; nothing if they say the same."""
    ours, theirs = sections(english), sections(chinese)
    shapes = [[(section.level, section.number) for section in page] for page in (ours, theirs)]
    if shapes[0] != shapes[1]:
        return [f"headings: {shapes[0]} / {shapes[1]}"]
    found = _compared("code blocks", code_blocks(english), code_blocks(chinese))
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        place = f"section {one.number or index}"
        found += _compared(f"{place}: paragraphs", _paragraphs(one.prose), _paragraphs(other.prose))
        found += _compared(f"{place}: list items", _items(one.prose), _items(other.prose))
        found += _compared(f"{place}: links", links(one.prose), links(other.prose))
        for kind, listed in (("code words", code_words), ("numbers", numbers)):
            found += _compared(f"{place}: {kind}", _once(listed, one.prose), _once(listed, other.prose))
        found += _compared_tables(place, one.tables, other.tables)
    return found


def _paragraphs(prose: str) -> int:
    """Count what blank lines part; a list counts as one."""
    return len([block for block in re.split(r"\n\s*\n", prose) if block.strip()])


def _items(prose: str) -> int:
    return len(re.findall(r"^(?:-|\d+\.) ", prose, re.MULTILINE))


def _once(listed: Callable[[str], list[str]], prose: str) -> list[str]:
    """List each only once: a sentence may name a thing again where the other language has a pronoun."""
    return sorted(set(listed(prose)))


def _compared_tables(
    place: str, ours: Sequence[Sequence[Sequence[str]]], theirs: Sequence[Sequence[Sequence[str]]]
) -> list[str]:
    shapes = [[[len(row) for row in table] for table in tables] for tables in (ours, theirs)]
    if shapes[0] != shapes[1]:
        return [f"{place}: tables: {shapes[0]} / {shapes[1]}"]
    cells = [[cell for table in tables for row in table for cell in row] for tables in (ours, theirs)]
    return [
        difference
        for one, other in zip(*cells, strict=True)
        for difference in _compared(f"{place}: cell", _kept(one, one), _kept(other, one))
    ]


def _kept(cell: str, english: str) -> object:
    """What of a cell must be kept in a translation: all of it, if the English one is literal."""
    return cell if is_literal(english) else (code_words(cell), numbers(cell), links(cell))


def _compared(what: str, ours: object, theirs: object) -> list[str]:
    return [] if ours == theirs else [f"{what}: {ours} / {theirs}"]


def read(name: str) -> tuple[str, str]:
    """Read a page in both languages."""
    english = ROOT / name
    return english.read_text(), _translated(english).read_text()


def _translated(page: Path) -> Path:
    return page.with_name(page.stem + SUFFIX)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_the_same_in_both_languages(name: str) -> None:
    assert differences(*read(name)) == []


@pytest.mark.parametrize("name", PAGES)
def test_each_language_leads_to_the_other_below_the_title(name: str) -> None:
    page = PurePosixPath(name)
    english, chinese = read(name)
    assert english.split("\n\n")[1] == f"[中文]({page.stem}{SUFFIX})"
    assert chinese.split("\n\n")[1] == f"[English]({page.name})"


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_both_languages_are_checked(name: str) -> None:
    assert {ROOT / name, _translated(ROOT / name)} <= set(DOCUMENTS)


@pytest.mark.parametrize("name", PAGES)
def test_a_chinese_page_leads_to_chinese_pages(name: str) -> None:
    page = _translated(ROOT / name)
    targets = [target.partition("#")[0] for target in _LINK.findall(page.read_text())]
    linked = {(page.parent / target).resolve() for target in targets if target and ":" not in target}
    assert linked & {ROOT / other for other in PAGES} == {ROOT / name}


ENGLISH = """# The page

[中文](page.zh-CN.md)

    client -> server

It waits `FEW` seconds, that is 7, and reads [more](docs/protocol.md#5-errors), `FEW` as it is.

- one
- two, see [b](b.md#part)

## 1. Codes

```sh
# run it
run --fast
```

| code | msg | reason | when |
|---|---|---|---|
| 400 | 消息错误 | `BAD` | rule 1 of `x` |
| 500 | 用 WebSocket | `WORSE` | never |
"""

CHINESE = """# 页面

[English](page.md)

    client -> server

等待 `FEW` 秒，即 7 秒，详见[更多](docs/protocol.zh-CN.md#5-错误)。

- 一
- 二，见 [b](b.md#part)

## 1. 代码

```sh
# run it
run --fast
```

| 代码 | msg | reason | 何时 |
|---|---|---|---|
| 400 | 消息错误 | `BAD` | `x` 的规则 1 |
| 500 | 用 WebSocket | `WORSE` | 从不 |
"""


def test_a_translation_does_not_differ() -> None:
    assert differences(ENGLISH, CHINESE) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("## 1. ", "### 1. ", "headings"),
        ("## 1. ", "## 2. ", "headings"),
        ("\n```sh", "\n## More\n\n```sh", "headings"),
        ("client -> server", "client -> gateway", "code blocks"),
        ("run --fast", "run --slow", "code blocks"),
        ("# run it\n", "", "code blocks"),
        ("```sh", "```py", "code blocks"),
        ("`FEW`", "`SOME`", "code words"),
        ("7", "8", "numbers"),
        ("docs/protocol", "docs/operations", "links"),
        ("b.md#part", "b.md#other", "links"),
        ("](b.md#part)", "]", "links"),
        ("\n\n- ", "\n\nMore.\n\n- ", "paragraphs"),
        ("\n\n## 1.", "\n- more\n\n## 1.", "list items"),
        ("| 500 | ", "| 501 | ", "cell"),
        ("消息错误", "消息有误", "cell"),
        ("WebSocket", "HTTP", "cell"),
        ("`WORSE`", "`WORST`", "cell"),
        ("`x`", "`y`", "cell"),
        ("| 400 | 消息错误 | `BAD` |", "| 400 | 消息错误 | |", "cell"),
        ("| 500 |", "| 600 | 新 | `NEW` | x |\n| 500 |", "tables"),
        ("`BAD` |", "`BAD` | more |", "tables"),
    ],
)
@pytest.mark.parametrize("side", ["english", "chinese"])
def test_a_change_of_one_language_alone_is_found(side: str, old: str, new: str, what: str) -> None:
    page = ENGLISH if side == "english" else CHINESE
    assert old in page
    changed = page.replace(old, new)
    found = differences(changed, CHINESE) if side == "english" else differences(ENGLISH, changed)
    assert found
    assert all(what in difference for difference in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n### ", "\n### News\n\nNo more.\n\n### "),
        ("`ROOM_FULL` | JOIN |\n", "`ROOM_FULL` | JOIN |\n| 1000 | 房间已关闭 | `ROOM_CLOSED` | JOIN |\n"),
        ('"resumeWindow":30', '"resumeWindow":60'),
        ("| 4503 |", "| 4505 |"),
        ("65,536", "131,072"),
    ],
    ids=["a heading", "an error code", "an example", "a close code", "a limit"],
)
@pytest.mark.parametrize("side", ["english", "chinese"])
def test_the_protocol_cannot_change_in_one_language(side: str, old: str, new: str) -> None:
    english, chinese = read("docs/protocol.md")
    pages = {"english": english, "chinese": chinese}
    assert old in pages[side]
    pages[side] = pages[side].replace(old, new)
    assert differences(pages["english"], pages["chinese"])
