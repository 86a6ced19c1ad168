"""Both witnesses for Snowflake's SQL, asked about what was sent to the stand-in."""

from collections.abc import Callable, Iterable

from support import analyser, grammar
from support.snowflake_standin import SnowflakeProject


def assert_take_what_was_sent(
    project: SnowflakeProject,
    before: Iterable[str] = (),
    after: Iterable[str] = (),
    parsed: Callable[[Iterable[str]], list[str]] = grammar.different,
) -> None:
    """The analyser and the grammar take every statement that the stand-in took.

    The others ask for what is not there yet, as dlt and SQLMesh do before they make a table.

    Args:
        project: whose database is asked for its statements.
        before: statements that the test has sent without having them recorded, before all others.
        after: the same, after them.
        parsed: which of all these the grammar is asked about, because it takes a tenth of a second for each.
    """
    sent = [*before, *(each.sql for each in project.snowflake.statements() if each.ok), *after]
    analyser.assert_takes(sent)
    grammar.assert_takes(parsed(sent))
