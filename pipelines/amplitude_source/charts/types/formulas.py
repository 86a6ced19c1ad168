"""Formulas of segmentation charts, as Amplitude writes them: UNIQUES(A) / UNIQUES(B).

Their functions: event-segmentation-custom-formulas.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from sqlglot import exp

from ...yaml_files import PlacedError
from ..expressions import DIALECT, parsed_alone, without_division_by_nothing

NO_AMOUNT = "needs `of`, the column whose values count."


@dataclass(frozen=True)
class Metric:
    """A number of the events of an interval."""

    sql: str
    """Its aggregate over the rows (counted, session, amount, value_text) that the chart has chosen."""
    needs_amount: bool = False
    is_additive: bool = False
    """Whether the numbers of intervals add up to that of them all."""
    is_zero_for_nothing: bool = False
    """Whether it is 0 in an interval without events; else it is NULL."""


METRICS = {
    "TOTALS": Metric("COUNT(*)", is_additive=True, is_zero_for_nothing=True),
    "UNIQUES": Metric("COUNT(DISTINCT counted)", is_zero_for_nothing=True),
    "AVG": Metric("COUNT(*)::DOUBLE / COUNT(DISTINCT counted)"),
    "ACTIVE": Metric("COUNT(DISTINCT counted)", is_zero_for_nothing=True),
    "SESSIONTOTALS": Metric("COUNT(DISTINCT session)", is_zero_for_nothing=True),
    "PROPSUM": Metric("SUM(amount)", needs_amount=True, is_additive=True),
    "PROPAVG": Metric("AVG(amount)", needs_amount=True),
    "PROPMIN": Metric("MIN(amount)", needs_amount=True),
    "PROPMAX": Metric("MAX(amount)", needs_amount=True),
    "PROPCOUNT": Metric("COUNT(DISTINCT amount)", needs_amount=True, is_zero_for_nothing=True),
    "PROPCOUNTAVG": Metric(
        "COUNT(DISTINCT IFF(amount IS NULL, NULL, CONCAT(counted::VARCHAR, ' ', amount::VARCHAR)))::DOUBLE "
        "/ NULLIF(COUNT(DISTINCT IFF(amount IS NULL, NULL, counted)), 0)",
        needs_amount=True,
    ),
}
PERCENTILE = "PERCENTILE"


@dataclass(frozen=True)
class Term:
    """A metric of one of the chart's events."""

    metric: str
    """A name in METRICS, or PERCENTILE."""
    series: str
    """The event's letter."""
    share: float | None = None
    """Of PERCENTILE: which one, from 0 to 1."""

    @property
    def definition(self) -> Metric:
        if self.share is None:
            return METRICS[self.metric]
        return Metric(f"PERCENTILE_CONT({self.share}) WITHIN GROUP (ORDER BY amount)", needs_amount=True)


@dataclass(frozen=True)
class Formula:
    """A formula, taken apart."""

    tree: exp.Expr
    terms: tuple[Term, ...]

    def sql(self, write: Callable[[Term], str]) -> str:
        """Return it as SQL.

        Args:
            write: gives the SQL of a term.
        """

        tree = without_division_by_nothing(self.tree.copy())

        def written(node: exp.Expr) -> exp.Expr:
            term = _term(node)
            return exp.cast(exp.maybe_parse(write(term), dialect=DIALECT), "DOUBLE") if term else node

        return tree.transform(written).sql(DIALECT)


def read_formula(text: str, letters: str) -> Formula:
    """Take a formula apart.

    Args:
        text: as UNIQUES(A) / UNIQUES(B).
        letters: of the chart's events.

    Raises:
        PlacedError: it is no formula, or names an event that there is not; with the nearest word.
    """
    tree = parsed_alone(text, "formula")
    terms: list[Term] = []

    def visit(node: exp.Expr) -> None:
        if isinstance(node, exp.Paren | exp.Neg):
            visit(node.this)
        elif isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div):
            visit(node.this)
            visit(node.expression)
        elif not (isinstance(node, exp.Literal) and not node.is_string):
            terms.append(_read_term(node, text, letters))

    visit(tree)
    if not terms:
        raise PlacedError(f"{text!r} names no event; write as UNIQUES(A) / UNIQUES(B).")
    return Formula(tree, tuple(dict.fromkeys(terms)))


def _term(node: exp.Expr) -> Term | None:
    """A call as a term; None for anything else."""
    if not isinstance(node, exp.Func):
        return None
    name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).upper()
    arguments = node.expressions or [each for each in node.args.values() if isinstance(each, exp.Expr)]
    if not arguments or not isinstance(arguments[0], exp.Column):
        return None
    share = float(arguments[1].name) if len(arguments) > 1 and arguments[1].is_number else None
    return Term(name, arguments[0].name.upper(), share)


def _read_term(node: exp.Expr, text: str, letters: str) -> Term:
    term, names = _term(node), [*METRICS, PERCENTILE]
    if term is None:
        raise PlacedError(f"{text!r} has {node.sql(DIALECT)}; a formula has + - * /, numbers, and {', '.join(names)}.")
    if term.metric not in names:
        near = get_close_matches(term.metric, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
        raise PlacedError(f"{text!r} has {term.metric}, which is no metric; {hint}")
    if term.series not in letters:
        raise PlacedError(f"{text!r} names event {term.series}; the chart's are {', '.join(letters)}.")
    if (term.metric == PERCENTILE) != (term.share is not None) or not 0 <= (term.share or 0) <= 1:
        raise PlacedError(f"{text!r}: write PERCENTILE(A, 0.9), and other metrics with an event alone.")
    return term
