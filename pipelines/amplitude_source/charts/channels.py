"""The channel groups of events: `sqlmesh/seeds/channel_groups.csv`, checked before SQLMesh builds anything.

Like Amplitude's channel classifier (data/en/channels.md) they go by the user's properties as of an event. Rules are
tried from top to bottom, and each of a rule's cells must hold.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import duckdb

from ..errors import AmplitudeError
from ..text_files import BYTE_ORDER_MARK, read_text

FILE = Path("sqlmesh/seeds/channel_groups.csv")
NAME = "channel_group"
ANY, NONE = "ANY", "(none)"
"""What stands for any value and for none; a blank cell takes both. These are Amplitude's words."""

Rule: TypeAlias = Mapping[str, str | list[list[str]]]
"""A channel group, and its cells: each the texts of its properties, the first of which with a value counts, and last
ANY, NONE or a regular expression."""


def read_channel_groups(root: Path) -> list[Rule]:
    """Read the rules, as macros/channels.py takes them.

    Args:
        root: the repository's folder. Without the file, there are no rules.

    Raises:
        AmplitudeError: what is wrong in the file, with the line.
    """
    if not (root / FILE).is_file():
        return []
    lines = csv.reader(io.StringIO(read_text(root / FILE).removeprefix(BYTE_ORDER_MARK)))
    head = next(lines, [])
    names = [name for cell in head for name in cell.split("|")]
    if head[:1] != [NAME] or not all(names) or len({*names}) < len(names):
        raise AmplitudeError(f"{FILE}, line 1: write {NAME} and then names of user properties, each once.")
    rules: list[Rule] = []
    catch_all = 0
    for line in lines:
        place, cells = f"{FILE}, line {lines.line_num}", [cell.strip() for cell in line]
        if not cells:
            continue
        if catch_all:
            raise AmplitudeError(f"{place}: the rule of line {catch_all} takes all events, so this one takes none.")
        if len(cells) != len(head) or not cells[0]:
            raise AmplitudeError(f"{place}: write a channel group and {len(head) - 1} cells, blank for whatever value.")
        conditions = [[*each.split("|"), cell] for each, cell in zip(head[1:], cells[1:], strict=True) if cell]
        for *_, pattern in conditions:
            check_pattern(pattern, place)
        catch_all = 0 if conditions else lines.line_num
        rules.append({NAME: cells[0], "conditions": conditions})
    return rules


def check_pattern(pattern: str, place: str) -> None:
    """Refuse a cell that both engines would not read alike.

    Raises:
        AmplitudeError: at the place.
    """
    if pattern in (ANY, NONE):
        return
    if word := {"any": ANY, "none": NONE}.get(pattern.strip("()").lower()):
        raise AmplitudeError(f"{place}: {pattern!r} is no pattern; did you mean {word}?")
    if pattern != pattern.lower() or "\\" in pattern:
        raise AmplitudeError(
            f"{place}: {pattern!r} is compared with values in small letters; write it so, and without \\."
        )
    try:
        duckdb.execute("SELECT REGEXP_FULL_MATCH('', ?)", [pattern])
    except duckdb.Error as error:
        raise AmplitudeError(f"{place}: {pattern!r} is no regular expression: {error}.") from error
