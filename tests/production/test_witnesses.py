"""The two witnesses for Snowflake's SQL: sqlfluff's grammar, and an analyser of names, types and signatures.

support/witnesses.py asks both about what is sent. Here they show that they refuse what is wrong, and that they
need each excuse.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlglot.generators.snowflake import SnowflakeGenerator

from support import analyser, grammar
from support.analyser import Analyser, analysing
from support.grants import SETUP, statements

SCRIPTS = sorted(SETUP.parent.glob("*.sql"))
VALUES = {"staging_url": "s3://lake/staging/", "export_url": "s3://lake/export/"}
"""Of the scripts' placeholders; any word does for the others."""

TABLE = "CREATE TABLE SILVER.EVENTS (UUID VARCHAR, EVENT_TIME TIMESTAMP_NTZ, REVENUE DOUBLE, PROPERTIES VARIANT)"
VIEW = "CREATE VIEW GOLD.DAYS (DAY, TOTAL) AS SELECT EVENT_TIME::DATE, SUM(REVENUE) FROM SILVER.EVENTS GROUP BY ALL"
WRONG = {
    "a misspelt keyword": "SELECT UUID FORM SILVER.EVENTS",
    "a bracket that is open": "SELECT COUNT(* FROM SILVER.EVENTS",
}
WRONG_WORDS = {
    **WRONG,
    "a word too many": "SELECT UUID FROM SILVER.EVENTS WINDOW WHERE TRUE",
    "no THEN": "MERGE INTO SILVER.EVENTS USING GOLD.DAYS ON TRUE WHEN MATCHED UPDATE SET UUID = 'a'",
    "a misspelt right": "GRANT USGAE ON SCHEMA GOLD TO ROLE ANALYST",
    "a grant to nobody": "GRANT USAGE ON SCHEMA GOLD",
    "no equals sign": "COPY INTO SILVER.EVENTS FROM @STAGE FILES ('a.parquet')",
    "another engine's option": "CREATE TABLE A (B TEXT) PARTITIONED BY (B)",
    "a misspelt change": "ALTER TABLE SILVER.EVENTS AD COLUMN B TEXT",
}
WRONG_MEANINGS = {
    **WRONG,
    "an unknown function": "SELECT EPOCH_MS(1)",
    "an unknown table": "SELECT UUID FROM SILVER.EVENT",
    "an unknown column": "SELECT UID FROM SILVER.EVENTS",
    "a column that a view has under another name": "SELECT EVENT_TIME FROM GOLD.DAYS",
    "a column of another table": "SELECT DAYS.UUID FROM SILVER.EVENTS JOIN GOLD.DAYS ON TOTAL = REVENUE",
    "a sum of times": "SELECT SUM(EVENT_TIME) FROM SILVER.EVENTS",
    "a time for a condition": "SELECT COUNT_IF(EVENT_TIME) FROM SILVER.EVENTS",
    "an argument too few": "SELECT MAX_BY(UUID) FROM SILVER.EVENTS",
    "an argument too many": "SELECT MD5(UUID, 256) FROM SILVER.EVENTS",
    "a misspelt argument": "SELECT F.VALUE FROM SILVER.EVENTS, LATERAL FLATTEN(INPT => PROPERTIES) AS F",
    "a text taken apart": "SELECT F.VALUE FROM SILVER.EVENTS, LATERAL FLATTEN(INPUT => UUID) AS F",
    "a column that FLATTEN lacks": "SELECT F.VAL FROM SILVER.EVENTS, LATERAL FLATTEN(INPUT => PROPERTIES) AS F",
    "a column that is not grouped": "SELECT UUID, SUM(REVENUE) FROM SILVER.EVENTS",
    "a sum of sums": "SELECT SUM(SUM(REVENUE)) FROM SILVER.EVENTS",
    "a sum whose name HAVING may mean": (
        "SELECT UUID, SUM(REVENUE) AS REVENUE FROM SILVER.EVENTS GROUP BY UUID HAVING SUM(REVENUE) > 0"
    ),
    "a window in WHERE": "SELECT UUID FROM SILVER.EVENTS WHERE ROW_NUMBER() OVER (ORDER BY UUID) = 1",
    "halves of other widths": "SELECT UUID FROM SILVER.EVENTS UNION ALL SELECT DAY, TOTAL FROM GOLD.DAYS",
    "a value too few": "INSERT INTO SILVER.EVENTS (UUID, REVENUE) SELECT UUID FROM SILVER.EVENTS",
    "a value of another type": "INSERT INTO SILVER.EVENTS (EVENT_TIME) SELECT REVENUE FROM SILVER.EVENTS",
    "a change of an unknown column": "UPDATE SILVER.EVENTS SET UID = 'a'",
    "rows deleted by an unknown column": "DELETE FROM SILVER.EVENTS WHERE UID = 'a'",
    "a wrong query of a new table": "CREATE TRANSIENT TABLE A AS SELECT UID FROM SILVER.EVENTS",
}
RIGHT = {
    "a short name of a type": "SELECT '2026-06-01'::TIMESTAMPNTZ, '2026-06-01'::TIMESTAMPTZ",
    "a whole number of 38 digits": "SELECT REVENUE::NUMBER(38, 0) FROM SILVER.EVENTS",
    "WHERE without FROM": "SELECT 1 AS ONE WHERE TRUE",
    "QUALIFY without WHERE": "SELECT UUID FROM SILVER.EVENTS QUALIFY ROW_NUMBER() OVER (ORDER BY UUID) = 1",
    "GROUP BY ALL": "SELECT UUID, COUNT(*) AS C FROM SILVER.EVENTS GROUP BY ALL",
    "a table named as a sum": "SELECT EVENTS.UUID AS A, COUNT(*) AS EVENTS FROM SILVER.EVENTS GROUP BY EVENTS.UUID",
    "all columns but some": "SELECT * EXCLUDE (UUID) FROM SILVER.EVENTS",
    "several columns at once": "DELETE FROM GOLD.DAYS WHERE (DAY, TOTAL) IN (SELECT DAY, TOTAL FROM GOLD.DAYS)",
    "a value taken apart": "SELECT F.KEY FROM SILVER.EVENTS, LATERAL FLATTEN(INPUT => PROPERTIES, MODE => 'BOTH') AS F",
    "rows of a function": "SELECT ROW_NUMBER() OVER (ORDER BY 1) AS N FROM TABLE(GENERATOR(ROWCOUNT => 9)) AS G",
    "a percentile": "SELECT PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY REVENUE) AS P FROM SILVER.EVENTS",
    "a list in order": "SELECT LISTAGG(UUID, ', ') WITHIN GROUP (ORDER BY EVENT_TIME) AS L FROM SILVER.EVENTS",
    "a pattern for any case": "SELECT UUID FROM SILVER.EVENTS WHERE UUID ILIKE 'a%'",
    "a hash as text": "SELECT UUID FROM SILVER.EVENTS WHERE MD5(UUID) || 'a' = UUID",
    "COUNT_IF": "SELECT COUNT_IF(REVENUE > 0) AS C FROM SILVER.EVENTS",
    "MAX_BY and MIN_BY": "SELECT MAX_BY(UUID, EVENT_TIME) AS A, MIN_BY(UUID, EVENT_TIME) AS B FROM SILVER.EVENTS",
    "SPLIT_PART": "SELECT SPLIT_PART(UUID, '-', 1) AS A FROM SILVER.EVENTS",
    "STARTSWITH": "SELECT STARTSWITH(UUID, 'a') AS A FROM SILVER.EVENTS",
    "the session's names": "SELECT CURRENT_DATABASE() AS D, CURRENT_ROLE() AS R, CURRENT_WAREHOUSE() AS W",
    "a name that ZetaSQL reserves": "WITH GROUPS AS (SELECT UUID FROM SILVER.EVENTS) SELECT UUID FROM GROUPS",
    "a view of Snowflake's": "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE IS_DYNAMIC = 'YES'",
}
EXCUSED_WORDS = {
    "a short name of a type": "SELECT '2026-06-01'::TIMESTAMPNTZ, '2026-06-01'::TIMESTAMPTZ",
    "a right on a compute pool": "GRANT USAGE ON COMPUTE POOL A TO ROLE B",
    "a copy of a schema": "CREATE SCHEMA A CLONE B WITH MANAGED ACCESS",
    "an app": "CREATE OR REPLACE STREAMLIT A FROM '@B' MAIN_FILE = 'app.py'",
    "a comment on a view's column": "ALTER VIEW A ALTER COLUMN B COMMENT 'c', COLUMN D COMMENT 'e'",
}


@pytest.fixture(scope="module")
def judge() -> Iterator[Analyser]:
    """The analyser, which knows a table and a view."""
    with analysing() as judge:
        assert judge.refusals([TABLE, VIEW]) == []
        yield judge


@pytest.mark.parametrize("wrong", WRONG_WORDS)
def test_the_grammar_refuses(wrong: str) -> None:
    assert grammar.refusals([WRONG_WORDS[wrong]])


@pytest.mark.parametrize("excused", EXCUSED_WORDS)
def test_the_grammar_takes_what_snowflake_takes_by_an_excuse(monkeypatch: pytest.MonkeyPatch, excused: str) -> None:
    grammar.assert_takes([EXCUSED_WORDS[excused]])
    monkeypatch.setattr(grammar, "EXCUSED", ())
    assert grammar.refusals([EXCUSED_WORDS[excused]]), "the excuse is not needed"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_grammar_takes_each_statement_of_a_script(script: Path) -> None:
    text = re.sub(r"<% (\w+) %>", lambda found: VALUES.get(found[1], found[1]), script.read_text())
    grammar.assert_takes(statements(text))


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG_MEANINGS)
def test_the_analyser_refuses(judge: Analyser, wrong: str) -> None:
    assert judge.refusals([WRONG_MEANINGS[wrong]])


@pytest.mark.slow
@pytest.mark.parametrize("right", RIGHT)
def test_the_analyser_takes_what_snowflake_takes_by_an_excuse(
    judge: Analyser, monkeypatch: pytest.MonkeyPatch, right: str
) -> None:
    assert judge.refusals([RIGHT[right]]) == []
    monkeypatch.setattr(analyser, "Respelling", lambda: SnowflakeGenerator(dialect="snowflake"))
    monkeypatch.setattr(analyser, "FUNCTIONS", [])
    monkeypatch.setattr(analyser, "VIEWS", {})
    assert judge.refusals([RIGHT[right]]), "the excuse is not needed"
