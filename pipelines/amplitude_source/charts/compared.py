"""Where the files of charts are, and which charts are saved in Amplitude, too."""

import os
import re
from pathlib import Path

from ..errors import AmplitudeError
from ..settings import MORE_CHARTS_VARIABLE

FOLDER = Path("sqlmesh/charts")
ENDINGS = (".yaml", ".yml")
LINE = re.compile(r"""(?m)^amplitude_chart:[ ]*["']?([A-Za-z0-9_-]+)""")


def chart_files(root: Path) -> list[Path]:
    """Return the files of a repository's charts, in their order; the user's own come first.

    Args:
        root: the repository's folder.

    Raises:
        AmplitudeError: the folder that a setting names is not there.
    """
    folders = [root / FOLDER]
    if more := os.environ.get(MORE_CHARTS_VARIABLE):
        folders.append(root / more)
        if not folders[1].is_dir() or root.resolve() not in folders[1].resolve().parents:
            raise AmplitudeError(f"{MORE_CHARTS_VARIABLE}: the repository has no folder {more}.")
    return [path for folder in folders for path in sorted(folder.glob("*")) if path.suffix in ENDINGS]


def compared_charts(root: Path) -> list[str]:
    """Return the ids of Amplitude's charts that chart files name.

    A load only looks for the line. Reading the files as charts is the plan's, which also says what is wrong in one.

    Args:
        root: the repository's folder.

    Raises:
        AmplitudeError: the folder that a setting names is not there.
    """
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in chart_files(root)]
    return sorted({id_ for text in texts for id_ in LINE.findall(text)})
