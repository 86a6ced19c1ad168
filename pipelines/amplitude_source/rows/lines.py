"""From members to blocks of JSON lines, each line with the hour, file and row that it comes from.

Python touches no line: a block's text is one buffer, and its lines an Arrow array over that buffer's own bytes.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from ..lake.archive import ArchivedMember, MemberName
from ..tables import ORIGIN_TYPES, arrow_schema
from ..verbatim import MAX_DEPTH

BLOCK_BYTES = 1 << 19  # of unzipped JSON; from 1 MB on each would be fresh memory (`keep_memory_flat`)
BLOCK_LINES = 1 << 14  # ten times what a block of real lines has; each takes up memory of its own
# Snowflake's columns hold 16 MB. Amplitude takes events of up to 1 MB one by one, and 20 MB of many in a batch.
MAX_LINE_BYTES = 16 << 20

PART_BYTES = 1 << 17  # of a text: what a processor looks at from its cache, in memory that is not fresh each time
WINDOW_BYTES = 1 << 14  # a line of up to so many lies in two of them

ByteArray: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]
IntArray: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
OffsetArray: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int32]]

NEWLINE, CARRIAGE_RETURN = b"\n\r"
OPENING = ord("{")  # or, without one bit, `[`
LINE = "$line"  # no column's name begins with `$`
LINES_SCHEMA = arrow_schema({LINE: "text"} | ORIGIN_TYPES)


class Block(NamedTuple):
    """Lines with their origin, in columns as in `LINES_SCHEMA`."""

    lines: pa.RecordBatch
    bytes: int
    """Of text."""
    hours: Counter[datetime]
    """How many lines each hour has."""
    longest: int
    """Bytes of the longest line."""
    is_modest: bool
    """Whether no line is too long, nor has brackets enough to be nested too deep."""

    def parts(self) -> Iterator["Block"]:
        """The same lines in blocks of a bounded number."""
        count = self.lines.num_rows
        if count <= BLOCK_LINES:
            yield self
            return
        for start in range(0, count, BLOCK_LINES):
            lines = self.lines.slice(start, BLOCK_LINES)
            hours = Counter(lines["_export_hour"].to_pylist())
            yield Block(lines, self.bytes * lines.num_rows // count, hours, self.longest, self.is_modest)


class Segment(NamedTuple):
    """Where in a block's text a member's bytes begin, and how many of its lines were in blocks before."""

    offset: int
    name: MemberName
    lines_before: int


class LineReader:
    """Cuts members into blocks that may span members and hours.

    Of a line of more than `MAX_LINE_BYTES` one byte more than that is kept, by which it is told.
    """

    def __init__(self, project: str) -> None:
        self._project = project
        self._pieces: list[bytes] = []
        self._size = 0
        self._unfinished = 0  # bytes of the line that the next piece goes on with
        self._segments: list[Segment] = []

    def read(self, member: ArchivedMember) -> Iterator[Block]:
        """Takes in a member's lines; gives a block whenever one is full."""
        self._segments.append(Segment(self._size, member.name, 0))
        for piece in member.text():
            self._add(piece)
            if self._size >= BLOCK_BYTES and self._size > self._unfinished:
                yield self.block()
        if self._unfinished:
            self._add(b"\n")

    def _add(self, piece: bytes) -> None:
        end = piece.find(b"\n")
        room = max(0, MAX_LINE_BYTES + 1 - self._unfinished)
        if (len(piece) if end < 0 else end) > room:
            piece = piece[:room] + (b"" if end < 0 else piece[end:])
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
            self._unfinished = len(piece) - 1 - piece.rfind(b"\n") + (self._unfinished if end < 0 else 0)

    def block(self) -> Block:
        """The full lines that were taken in since the last block; what is left begins the next one."""
        text = b"".join(self._pieces)
        end = text.rfind(b"\n") + 1
        self._pieces, self._size = [text[end:]], len(text) - end
        starts = line_starts(text)
        offsets = np.append(starts, end).astype(np.int32)
        longest = int(np.diff(offsets).max(initial=0))
        lines = pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(text))
        counts = self._lines_of_segments(starts)
        batch = pa.RecordBatch.from_arrays([lines, *self._origin(counts)], schema=LINES_SCHEMA)
        hours: Counter[datetime] = Counter()
        for segment, count in zip(self._segments, counts, strict=True):
            hours[segment.name.hour] += count
        self._segments = [Segment(0, each.name, each.lines_before + counts[-1]) for each in self._segments[-1:]]
        is_modest = longest <= MAX_LINE_BYTES and not has_deep_lines(memoryview(text)[:end], offsets, longest)
        return Block(batch, end, +hours, longest, is_modest)

    def _lines_of_segments(self, starts: IntArray) -> list[int]:
        firsts = np.searchsorted(starts, [segment.offset for segment in self._segments])
        return [int(count) for count in np.diff([*firsts, len(starts)])]

    def _origin(self, counts: list[int]) -> list[pa.Array]:
        """Project, hour, file and row number of each line."""
        segments = pa.array(np.repeat(np.arange(len(counts)), counts))
        rows = [np.arange(count) + each.lines_before + 1 for each, count in zip(self._segments, counts, strict=True)]
        *_, hour, file, row = LINES_SCHEMA.types
        return [
            pa.repeat(self._project, len(segments)),
            pa.array([each.name.hour for each in self._segments], hour).take(segments),
            pa.array([each.name.name for each in self._segments], file).take(segments),
            pa.array(np.concatenate([np.arange(0), *rows]), row),
        ]


def line_starts(text: bytes) -> IntArray:
    """Where the lines of a text that end with a newline start; empty lines are left out."""
    newlines: list[int] = []
    at = text.find(NEWLINE)
    while at >= 0:  # a third of the time that NumPy takes, which looks at every character twice
        newlines.append(at)
        at = text.find(NEWLINE, at + 1)
    ends = np.array(newlines, np.int64)
    starts = np.concatenate(([0], ends + 1))[:-1]
    is_empty = (starts == ends) | ((starts + 1 == ends) & (np.frombuffer(text, np.uint8)[starts] == CARRIAGE_RETURN))
    kept: IntArray = starts[~is_empty]
    return kept


def has_deep_lines(text: memoryview, offsets: OffsetArray, longest: int) -> bool:
    """Whether a line has brackets enough to be nested too deep. Most texts have too few for that anywhere."""
    characters = np.frombuffer(text, np.uint8)
    counts: list[int] = []
    for place in range(0, len(characters), PART_BYTES):
        is_opening = (characters[place : place + PART_BYTES] | 0x20) == OPENING
        windows = range(0, len(is_opening), WINDOW_BYTES)
        counts += [int(np.count_nonzero(is_opening[start : start + WINDOW_BYTES])) for start in windows]
    if longest <= WINDOW_BYTES and max(map(sum, pairwise([0, *counts, 0]))) <= MAX_DEPTH:
        return False
    lines = pairwise(offsets.tolist())
    return any(np.count_nonzero((characters[start:end] | 0x20) == OPENING) > MAX_DEPTH for start, end in lines)
