"""SQLMesh's cache of models, which all checkouts of tests share: reading the models takes five seconds without it."""

from unittest import mock

from sqlmesh.core.config import Config

whole_fingerprint = Config.fingerprint.fget  # type: ignore[attr-defined]  # of a property


def fingerprint(config: Config) -> str:
    """What models are cached by: the configuration without a checkout's paths and its present, by which no model goes.

    So checkouts whose models and other variables are alike share their models.
    """
    variables = {name: value for name, value in config.variables.items() if name != "now"}
    return str(whole_fingerprint(config.copy(update={"gateways": {}, "variables": variables})))


def main() -> None:
    """`sqlmesh`, with that cache."""
    from sqlmesh.cli.main import cli

    with mock.patch.object(Config, "fingerprint", property(fingerprint)):
        cli()
