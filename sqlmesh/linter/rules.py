"""What the header and the last SELECT of every model of ours must tell (bronze is described by dlt's schema)."""

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
