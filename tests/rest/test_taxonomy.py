"""Rules for personal data, as the taxonomy of a project suggests them."""

import json

import pytest

from amplitude_source.rest.taxonomy import path_of
from simulator.server import Simulator
from support.project import Project, succeeded

DROP, HASH = "SOURCES__AMPLITUDE__PRIVACY__DROP", "SOURCES__AMPLITUDE__PRIVACY__HASH"
CLASSIFIED = {
    "device_id": ["PII"],
    "amplitude_id": ["PII"],
    "gp:email": ["PII"],
    "gp:a/b": ["SENSITIVE", "PII"],
    "gp:ltv": ["REVENUE"],
    "gp:plan": [],
}


@pytest.fixture
def classified(asking: Project, simulator: Simulator) -> Project:
    """A checkout that has loaded a taxonomy with classified properties."""
    assert simulator.taxonomy
    (example, *_) = simulator.taxonomy.user_properties
    simulator.taxonomy.user_properties = [
        example | {"user_property": name, "classifications": classes} for name, classes in CLASSIFIED.items()
    ]
    (example, *_) = simulator.taxonomy.event_properties
    simulator.taxonomy.event_properties = [example | {"event_property": "coupon", "classifications": ["PII"]}]
    succeeded(asking.load_here("--only", "taxonomy"))
    return asking


def suggested(project: Project, **env: str) -> dict[str, list[str]]:
    lines = succeeded(project.load_here("privacy", "suggest", **env)).stdout.splitlines()
    return {name: json.loads(rules) for name, _, rules in (line.partition("=") for line in lines)}


def test_rules_are_suggested_for_what_is_classified_as_personal_or_sensitive(classified: Project) -> None:
    assert suggested(classified) == {
        DROP: ["event_properties/coupon", "user_properties/a~1b", "user_properties/email"],
        HASH: ["device_id"],
    }


def test_rules_that_are_there_stay_and_what_they_cover_is_not_suggested(classified: Project) -> None:
    own = {DROP: '["user_properties/email", "language"]', HASH: '["device_id"]', f"{HASH}_KEY": "x" * 32}
    assert suggested(classified, **own) == {
        DROP: ["user_properties/email", "language", "event_properties/coupon", "user_properties/a~1b"]
    }
    all_of_them = {DROP: '["user_properties", "event_properties", "device_id"]'}
    shown = succeeded(classified.load_here("privacy", "suggest", **all_of_them)).stdout
    assert "the rules cover all that is classified as personal or sensitive" in shown


def test_without_a_taxonomy_the_command_that_loads_one_is_named(asking: Project) -> None:
    succeeded(asking.load_here("--only", "annotations"))
    shown = succeeded(asking.load_here("privacy", "suggest")).stdout
    assert "there is no taxonomy yet" in shown
    assert "--only taxonomy --project default" in shown


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("user_property", "device_id", ("device_id",)),
        ("user_property", "email", ("user_properties", "email")),
        ("event_property", "device_id", ("event_properties", "device_id")),
    ],
)
def test_a_property_is_found_where_the_export_has_it(kind: str, name: str, path: tuple[str, ...]) -> None:
    assert path_of(kind, name) == path
