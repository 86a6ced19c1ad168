"""The SQL that Snowflake gets of charts, by a grammar that is not the one which writes it."""

from pathlib import Path

import pytest
from sqlfluff.api import APIParsingError, parse

from amplitude_source.charts.book import compiled, read_chart
from amplitude_source.charts.definitions import read_words
from support.charts import DEFINITIONS_OF_GUIDE, EXAMPLES, PROPERTIES_OF_GUIDE, write_charts


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_sqlfluff_takes_the_sql_of_an_example_for_snowflakes(tmp_path: Path, example: Path) -> None:
    write_charts(tmp_path, properties=PROPERTIES_OF_GUIDE, definitions=DEFINITIONS_OF_GUIDE)
    words = read_words(tmp_path)
    sql = compiled(read_chart(example, example.parent, words), words).for_engine("snowflake")
    # sqlfluff does not know the short name, which Snowflake's page on data types for dates and times has.
    parse(sql.replace("TIMESTAMPNTZ", "TIMESTAMP_NTZ") + "\n", "snowflake")


def test_sqlfluff_refuses_what_snowflake_does_not_take() -> None:
    with pytest.raises(APIParsingError):
        parse("SELECT a FROM b WINDOW WHERE;\n", "snowflake")
