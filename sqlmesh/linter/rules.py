"""What every model of ours must tell in its header and its last SELECT (dlt's schema describes bronze), and its test."""

import re
from functools import cache
from pathlib import Path

from sqlmesh.core.linter.rule import Rule, RuleViolation
from sqlmesh.core.model import Model


class MissingGrain(Rule):
    """Every model names its grain, which table_diff joins by."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if model.kind.is_external or model.grains else self.violation()


class MissingOwner(Rule):
    """Every model names who answers for it."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if model.kind.is_external or model.owner else self.violation()


class MissingDescription(Rule):
    """Every model has a description: the comment before MODEL, which becomes the warehouse's."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if model.kind.is_external or model.description else self.violation()


class MissingColumnComments(Rule):
    """Every output column has a comment, which becomes the warehouse's."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if model.kind.is_external:
            return None
        bare = [name for name in model.columns_to_types or {} if name not in (model.column_descriptions or {})]
        return self.violation(f"Columns without a comment: {', '.join(bare)}.") if bare else None


class MissingUnitTest(Rule):
    """Every model has a unit test in `sqlmesh/tests/`; a seed holds no SQL."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if model.kind.is_external or model.kind.is_seed or model.name in tested_models():
            return None
        return self.violation(f"No test in sqlmesh/tests/ has `model: {model.name}`.")


@cache
def tested_models() -> set[str]:
    tests = (Path(__file__).parents[1] / "tests").glob("*.yaml")
    return {name for test in tests for name in re.findall(r"(?m)^  model: (\S+)$", test.read_text(encoding="utf-8"))}
