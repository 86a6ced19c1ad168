"""Files of charts, written as a user would."""

import re
from collections.abc import Mapping
from pathlib import Path

from amplitude_source.charts import compared, definitions, properties

from .project import REPOSITORY

GUIDES = ("docs/guides/charts.md", "docs/reference/charts.md")
GUIDE = "".join((REPOSITORY / page).read_text(encoding="utf-8") for page in GUIDES)
EXAMPLES = sorted((REPOSITORY / "docs/examples/charts").glob("*.yaml"))
# The properties that the guide's examples name.
PROPERTIES_OF_GUIDE = """\
total: {from: event, type: number}
plan: {from: user}
"""


def of_guide(mark: str) -> str:
    """The YAML that stands in the guides below a mark."""
    (text,) = re.findall(rf"<!-- {mark} -->\n```yaml\n(.*?)```", GUIDE, re.DOTALL)
    return str(text)


DEFINITIONS_OF_GUIDE = of_guide("definitions")


def write_charts(root: Path, charts: Mapping[str, str] = {}, **words: str) -> None:
    """Writes charts by their names, and what they may name: `properties` and `definitions`."""
    (root / compared.FOLDER).mkdir(parents=True, exist_ok=True)
    for file in ({"properties": properties.FILE, "definitions": definitions.FILE}[name] for name in words):
        (root / file).write_text(words[file.stem], encoding="utf-8")
    for name, text in charts.items():
        (root / compared.FOLDER / f"{name}.yaml").write_text(text, encoding="utf-8")
