"""Rules for the models of this project: what their headers and last SELECTs must say.

They skip external models, which dlt's schema describes, and models/custom/, where users keep models of their own.
"""

from pathlib import Path

from sqlmesh.core.linter.rule import Rule, RuleViolation
from sqlmesh.core.linter.rules.builtin import NoMissingAudits, NoMissingUnitTest, NoSelectStar
from sqlmesh.core.model import Model

CUSTOM_MODELS = Path(__file__).resolve().parents[1] / "models" / "custom"


def is_exempt(model: Model) -> bool:
    """Return whether the strict rules leave a model alone."""
    return model.kind.is_external or (model._path is not None and model._path.resolve().is_relative_to(CUSTOM_MODELS))


class MissingGrain(Rule):
    """Every model names its grain, which table_diff joins by."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if is_exempt(model) or model.grains else self.violation()


class MissingOwner(Rule):
    """Every model names who answers for it."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if is_exempt(model) or model.owner else self.violation()


class MissingDescription(Rule):
    """Every model has a description: the comment before MODEL, which becomes the warehouse's."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if is_exempt(model) or model.description else self.violation()


class MissingColumnComments(Rule):
    """Every output column has a comment, which becomes the warehouse's."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if is_exempt(model):
            return None
        bare = [name for name in model.columns_to_types or {} if name not in (model.column_descriptions or {})]
        return self.violation(f"Columns without a comment: {', '.join(bare)}.") if bare else None


class MissingAudits(NoMissingAudits):
    """Every model has an audit."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if is_exempt(model) else super().check_model(model)


class MissingUnitTest(NoMissingUnitTest):
    """Every model has a unit test, but seeds, which SQLMesh does not test."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if is_exempt(model) or model.kind.is_seed else super().check_model(model)


class SelectStar(NoSelectStar):
    """Every model names its output columns."""

    def check_model(self, model: Model) -> RuleViolation | None:
        return None if is_exempt(model) else super().check_model(model)
