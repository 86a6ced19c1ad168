"""Check the documents: links, names of files, tables and settings, figures, and the rules for prose.

`python docs/check_docs.py` prints each fault with its page and line, and exits with 1 if there is one.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from typing import NamedTuple

from data_dictionary import BRONZE
from generated import ROOT

sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.bronze.cleanup import BRONZE_TABLES
from amplitude_source.bronze.duckdb_file import PATIENCE_SECONDS
from amplitude_source.bronze.verify import SAMPLE_HOURS
from amplitude_source.cli.status import BEHIND_EXIT, DAMAGED_EXIT, REJECTED_EXIT
from amplitude_source.export.client import ANSWER_SECONDS, ATTEMPTS, MAX_ZIP_BYTES
from amplitude_source.export.windows import WINDOW_HOURS
from amplitude_source.lake.archive import MAX_RATIO, MAX_STREAMS, MAX_TEXT_BYTES
from amplitude_source.lock import BUSY_EXIT
from amplitude_source.rows.lines import BLOCK_BYTES, MAX_LINE_BYTES
from amplitude_source.rows.queries import MAX_KEY_CHARACTERS, MAX_KEYS
from amplitude_source.rows.typer import KEPT_LINE_BYTES, MAX_COLUMNS, STRETCH_BYTES, TYPING_THREADS
from amplitude_source.settings import AmplitudeSettings, FirstHour
from amplitude_source.source import ROWS_PER_LOAD
from amplitude_source.tables import TABLES as BRONZE_TABLES_OF_MODELS
from amplitude_source.verbatim import MAX_DEPTH

MAX_COLUMN = 100
MAX_WORDS = 30
MAX_README_LINES = 150
# Their words stand in the code, so the code's own checks hold for them.
GENERATED = {f"docs/reference/{name}.md" for name in ("commands", "macros", "settings", "tables")}
# Pages that name files of others: Amplitude's documentation, by path or name.
PAGES_OF_OTHERS = {"docs/explanation/how-amplitude-counts.md"}
# Tables that a recipe adds.
TABLES_OF_EXAMPLES = {"bronze.annotations", "gold.chart_large_orders"}
# dlt's own, and the one that models embed (sqlmesh/bronze/).
OTHER_TABLES = {"bronze._dlt_loads", "bronze.exported_events"}
# Names that look like files of the repository. The user makes them, or an example does.
FILES_OF_USERS = {
    ".dlt/secrets.toml",
    "sqlmesh/charts/large_orders.yaml",
    "sqlmesh/external_models/<name>.yaml",
    "sqlmesh/external_models/",
}
SUFFIXES_OF_CODE = (".py", ".sql", ".toml", ".yaml", ".yml")
SUFFIXES = ("cfg", "csv", "in", "lock", "md", "py", "sql", "toml", "yaml", "yml")
BUILT_IN_MACROS = {"start_ts", "end_ts", "start_date", "end_date"}
TABLES = "docs/reference/tables.md"
TROUBLESHOOTING = "docs/guides/troubleshooting.md"
# Messages on that page that other programs print.
MESSAGES_OF_OTHERS = {"Environment 'prod' was not found"}
AVOIDED_STARTS = {"What", "Of"}
AVOIDED = re.compile(r"\b(tells?|told|be it|be that|whoever|for all that|his|he)\b", re.IGNORECASE)

# Figures that the code knows, as a page must have them.
FIGURES: dict[str, list[str]] = {
    "docs/decisions/0006-limits.md": [
        f"| {MAX_ZIP_BYTES >> 30} GB |",
        f"| {ANSWER_SECONDS // 3600} hours |",
        f"| {MAX_TEXT_BYTES >> 30} GB, {MAX_RATIO} times its size, {MAX_STREAMS:,} gzip streams |",
        f"| {MAX_LINE_BYTES >> 20} MB |",
        f"| {MAX_KEYS}, each of {MAX_KEY_CHARACTERS:,} characters |",
        f"| {MAX_DEPTH} levels |",
        f"| {MAX_COLUMNS:,} |",
        f"| {KEPT_LINE_BYTES >> 10} KB |",
    ],
    "docs/explanation/typing-rows.md": [
        f"blocks of {BLOCK_BYTES >> 10} KB",
        f"{STRETCH_BYTES >> 20} MB of text",
        f"{('no', 'one', 'two', 'three')[TYPING_THREADS].capitalize()} threads",
    ],
    "docs/explanation/exactness.md": [
        f"{FirstHour.freshness_hours} hours old",
        f"{AmplitudeSettings.settle_hours} hours after its end",
        f"{AmplitudeSettings.recheck_hours} hours after its end",
        f"{WINDOW_HOURS} hours",
        f"up to {SAMPLE_HOURS} hours",
        f"{ATTEMPTS} times",
    ],
    "docs/guides/schedules.md": [
        f"| {DAMAGED_EXIT} | `status` |",
        f"| {BUSY_EXIT} | `load`, `sqlmesh` |",
        f"| {REJECTED_EXIT} | `load`, `status` |",
        f"| {BEHIND_EXIT} | `status` |",
    ],
    "docs/guides/history.md": [f"{ROWS_PER_LOAD:,} rows"],
    "docs/guides/troubleshooting.md": [
        f"{PATIENCE_SECONDS:.0f} seconds",
        f"bronze.rejected_rows` (exit code {REJECTED_EXIT})",
        f"is in use by ...` (exit code {BUSY_EXIT})",
        f"FRESHNESS_HOURS=...)` (exit code {BEHIND_EXIT})",
        f"damaged ... hours` (exit code {DAMAGED_EXIT})",
    ],
}


class Fault(NamedTuple):
    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


class Block(NamedTuple):
    """A paragraph, a list item, a heading or a cell of a table."""

    line: int
    text: str


def main() -> None:
    faults = [fault for name in pages() for fault in page_faults(name, read(name))]
    faults += project_faults()
    for fault in sorted(faults):
        print(fault)
    sys.exit(1 if faults else 0)


def pages() -> list[str]:
    return sorted(name for name in repository_files() if name.endswith(".md"))


@cache
def repository_files() -> frozenset[str]:
    """Return every file of the repository that Git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - git
    return frozenset(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def page_faults(name: str, text: str) -> Iterator[Fault]:
    """Yield what is wrong with one page."""
    yield from link_faults(name, text)
    if name in GENERATED:
        return
    yield from name_faults(name, text)
    yield from width_faults(name, text)
    yield from prose_faults(name, text)
    if name == TROUBLESHOOTING:
        yield from message_faults(name, text)
    for figure in FIGURES.get(name, []):
        if figure not in " ".join(text.split()):
            yield Fault(name, 1, f"the code's figure is not on the page: {figure!r}")


def project_faults() -> Iterator[Fault]:
    """Yield what is wrong with the pages as a whole."""
    lines = read("README.md").count("\n")
    if lines > MAX_README_LINES:
        yield Fault("README.md", lines, f"more than {MAX_README_LINES} lines")
    navigation, decisions = read("mkdocs.yml"), read("docs/decisions/index.md")
    for name in pages():
        if name.startswith("docs/") and f" {name.removeprefix('docs/')}\n" not in navigation:
            yield Fault(name, 1, "mkdocs.yml does not have it in its navigation")
        if name.startswith("docs/decisions/0") and f"({name.rpartition('/')[2]})" not in decisions:
            yield Fault(name, 1, "docs/decisions/index.md does not list it")
    yield from page_name_faults()
    for table in sorted({*BRONZE_TABLES, *BRONZE_TABLES_OF_MODELS} - BRONZE.keys()):
        yield Fault(TABLES, 1, f"bronze.{table} is missing: add it to docs/data_dictionary.py")


def page_name_faults() -> Iterator[Fault]:
    """Yield each page that code, a workflow or a comment names and that does not exist."""
    for name in sorted(repository_files()):
        if name.endswith(SUFFIXES_OF_CODE) or name == ".env.example":
            for number, line in enumerate(read(name).split("\n"), 1):
                for page in re.findall(r"\bdocs/[\w/.-]+\.md\b", line):
                    if page not in pages():
                        yield Fault(name, number, f"names no page: {page}")


def link_faults(name: str, text: str) -> Iterator[Fault]:
    """Yield each relative link that leads to no file or to no heading."""
    for number, line in enumerate(without_code(text).split("\n"), 1):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            page = ((ROOT / name).parent / path).resolve() if path else ROOT / name
            if not page.exists():
                yield Fault(name, number, f"no file at {target}")
            elif anchor and anchor not in anchors(page.read_text(encoding="utf-8")):
                yield Fault(name, number, f"no heading at {target}")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def name_faults(name: str, text: str) -> Iterator[Fault]:
    """Yield each name in backticks that the project does not have."""
    for number, line in enumerate(without_code(text).split("\n"), 1):
        for span in re.findall(r"`([^`]+)`", line):
            if complaint := complaint_of(name, span):
                yield Fault(name, number, complaint)


def complaint_of(page: str, span: str) -> str | None:
    """Return why a name in backticks is wrong; None for a right one and for what is no name of ours."""
    if re.fullmatch(r"(silver|gold|bronze)\.[a-z_0-9]+", span):
        return None if span in known_tables() | TABLES_OF_EXAMPLES else f"no table {span}"
    if column := re.fullmatch(r"((?:silver|gold|bronze)\.\w+)\.([a-z_0-9]+)", span):
        return None if column[2] in columns_of(column[1]) else f"no column {span}"
    if function := re.fullmatch(r"(?:[\w.]+\.)?(\w+)\(\)", span):
        return None if function[1] in known_functions() else f"no function {span}"
    if macro := re.fullmatch(r"@([a-z]\w+)", span):
        return None if macro[1] in known_functions() | BUILT_IN_MACROS else f"no macro {span}"
    if re.fullmatch(r"(SOURCES__AMPLITUDE__|SQLMESH_(SNOWFLAKE|STATE|TRIALS)_|DESTINATION__)\w*[A-Z]", span):
        return None if is_setting(span) else f"no setting {span}"
    if is_file_name(page, span) and not any(exists(path) for path in expanded(span)):
        return f"no file {span}"
    return None


@cache
def known_tables() -> frozenset[str]:
    return frozenset(re.findall(r"^### (\S+)$", read(TABLES), re.MULTILINE)) | OTHER_TABLES


@cache
def columns_of(table: str) -> frozenset[str]:
    section = read(TABLES).partition(f"### {table}\n")[2].partition("\n### ")[0]
    return frozenset(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))


@cache
def known_functions() -> frozenset[str]:
    code = "\n".join(read(name) for name in repository_files() if name.endswith(".py"))
    return frozenset(re.findall(r"^\s*(?:def|class) (\w+)", code, re.MULTILINE))


def is_setting(name: str) -> bool:
    """Return whether a setting of this name, or settings that begin with it, exist."""
    name = re.sub(r"PROJECTS__[A-Z_]+?__(?=[A-Z])", "", name)
    places = ("docs/reference/settings.md", ".env.example", ".github/workflows/test.yml")
    return any(name in read(place) for place in places)


def is_file_name(page: str, span: str) -> bool:
    """Return whether a name in backticks means a file or a folder of the repository."""
    if span in FILES_OF_USERS or not re.fullmatch(r"\.?[\w.*{},/<>-]+", span):
        return False
    if page in PAGES_OF_OTHERS and span.endswith(".md") and not span.startswith("docs/"):
        return False
    folders = {name.split("/")[0] for name in repository_files() if "/" in name}
    if "/" in span:
        return span.split("/")[0] in folders
    return span.rpartition(".")[2] in SUFFIXES and not span.startswith(("*", "."))


def expanded(span: str) -> list[str]:
    """Return the paths that a name with `{a,b}` stands for."""
    if not (group := re.search(r"\{([^}]*)\}", span)):
        return [span]
    return [
        path for part in group[1].split(",") for path in expanded(f"{span[: group.start()]}{part}{span[group.end() :]}")
    ]


def exists(path: str) -> bool:
    if "/" not in path:
        return any(name.rpartition("/")[2] == path for name in repository_files())
    return any(fnmatch(name, path) or name.startswith(f"{path.rstrip('/')}/") for name in repository_files())


def message_faults(name: str, text: str) -> Iterator[Fault]:
    """Yield each message in the first column of a table that no code prints."""
    for number, line in enumerate(text.split("\n"), 1):
        for message in re.findall(r"`([^`]+)`", line.split(" | ")[0]) if line.startswith("| `") else []:
            parts = [part.strip() for part in message.split("...") if part.strip()]
            pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
            if message not in MESSAGES_OF_OTHERS and not any(map(pattern.search, texts_in_code())):
                yield Fault(name, number, f"no code prints {message!r}")


@cache
def texts_in_code() -> tuple[str, ...]:
    """Return every text in the code, those of f-strings with a place for each value, and the other files whole."""
    texts = [read("Makefile"), read("sqlmesh/config.yaml")]
    for name in repository_files():
        if name.endswith(".py") and not name.startswith(("tests/", "docs/")):
            nodes = ast.walk(ast.parse(read(name)))
            texts += [text_of(node) for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr)]
    return tuple(texts)


def text_of(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)


def width_faults(name: str, text: str) -> Iterator[Fault]:
    """Yield each line that is too long, outside of tables and code."""
    for number, line in enumerate(without_code(text).split("\n"), 1):
        if len(line) > MAX_COLUMN and not line.lstrip().startswith("|"):
            yield Fault(name, number, f"{len(line)} columns; wrap it at {MAX_COLUMN}")


def prose_faults(name: str, text: str) -> Iterator[Fault]:
    """Yield each sentence that is too long or uses words that the project avoids."""
    for block in blocks(without_code(text)):
        for sentence in sentences(block.text):
            words = sentence.split()
            if len(words) > MAX_WORDS:
                yield Fault(name, block.line, f"a sentence of {len(words)} words: {' '.join(words[:8])} ...")
            if words[0] in AVOIDED_STARTS and sentence.endswith("."):
                yield Fault(name, block.line, f"a sentence begins with {words[0]!r}")
            if avoided := AVOIDED.search(sentence):
                yield Fault(name, block.line, f"avoid {avoided[0]!r}: {' '.join(words[:8])} ...")


def without_code(text: str) -> str:
    """Return a page with fenced code as empty lines, so that line numbers stay."""
    kept, fence = [], None
    for line in text.split("\n"):
        mark = re.match(r"\s*(```+)", line)
        if mark and fence in (None, mark[1]):
            fence = None if fence else mark[1]
            kept.append("")
        else:
            kept.append("" if fence else line)
    return "\n".join(kept)


def blocks(text: str) -> Iterator[Block]:
    """Yield the paragraphs, list items, headings and cells of a page, without its code."""
    start, lines = 0, list[str]()
    for number, line in enumerate([*text.split("\n"), ""], 1):
        stripped = line.strip()
        begins = re.match(r"([-*]|\d+\.) |#+ |\||>|---", stripped)
        if (not stripped or begins) and lines:
            yield Block(start, " ".join(lines))
            lines = []
        if stripped.startswith("|"):
            yield from (Block(number, cell.strip()) for cell in stripped.strip("|").split(" | "))
        elif stripped:
            start = start if lines else number
            lines.append(re.sub(r"^([-*]|\d+\.|#+|>) ", "", stripped))


def sentences(text: str) -> Iterable[str]:
    """Split a block into sentences; code is one word each, and a link is its text."""
    text = re.sub(r"`[^`]*`", "`code`", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "")
    found = re.split(r"(?<=[.!?])[\"')]*\s+(?=[\"'(`\[*]*[A-Z0-9`])", text)
    return [sentence.strip() for sentence in found if re.search(r"\w", sentence)]


if __name__ == "__main__":
    main()
