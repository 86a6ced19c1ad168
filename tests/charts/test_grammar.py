"""The SQL that Snowflake gets of charts, by a grammar that is not the one which writes it."""

from pathlib import Path

import pytest

from amplitude_source.charts.book import compiled, read_chart
from amplitude_source.charts.definitions import read_words
from support import grammar
from support.charts import DEFINITIONS_OF_GUIDE, EXAMPLES, PROPERTIES_OF_GUIDE, write_charts


@pytest.mark.slow
@pytest.mark.parametrize(
    "example",
    [pytest.param(path, marks=() if place % 4 == 0 else pytest.mark.nightly) for place, path in enumerate(EXAMPLES)],
    ids=lambda path: path.stem,
)
def test_sqlfluff_takes_the_sql_of_an_example_for_snowflakes(tmp_path: Path, example: Path) -> None:
    write_charts(tmp_path, properties=PROPERTIES_OF_GUIDE, definitions=DEFINITIONS_OF_GUIDE)
    words = read_words(tmp_path)
    sql = compiled(read_chart(example, example.parent, words), words).for_engine("snowflake")
    grammar.assert_takes([sql])
