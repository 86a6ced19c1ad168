"""Files of charts, written as a user would."""

from collections.abc import Mapping
from pathlib import Path

from amplitude_source.charts import book, definitions, properties


def write_charts(root: Path, charts: Mapping[str, str] = {}, **words: str) -> None:
    """Writes charts by their names, and what they may name: `properties` and `definitions`."""
    (root / book.FOLDER).mkdir(parents=True, exist_ok=True)
    for file in ({"properties": properties.FILE, "definitions": definitions.FILE}[name] for name in words):
        (root / file).write_text(words[file.stem], encoding="utf-8")
    for name, text in charts.items():
        (root / book.FOLDER / f"{name}.yaml").write_text(text, encoding="utf-8")
