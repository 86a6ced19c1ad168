"""The charts that are saved in Amplitude, too."""

import re
from pathlib import Path

FOLDER = Path("sqlmesh/charts")
ENDINGS = (".yaml", ".yml")
LINE = re.compile(r"""(?m)^amplitude_chart:[ ]*["']?([A-Za-z0-9_-]+)""")


def compared_charts(root: Path) -> list[str]:
    """Return the ids of Amplitude's charts that chart files name.

    A load only looks for the line. Reading the files as charts is the plan's, which also says what is wrong in one.

    Args:
        root: the repository's folder.
    """
    files = [path for path in (root / FOLDER).glob("*") if path.suffix in ENDINGS]
    return sorted({id_ for path in files for id_ in LINE.findall(path.read_text(encoding="utf-8", errors="replace"))})
