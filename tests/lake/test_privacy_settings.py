"""Privacy rules come from the settings, and a wrong one is named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dlt.common.configuration import configspec
from dlt.common.configuration.container import Container
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from amplitude_source.errors import AmplitudeError
from amplitude_source.lake.privacy import PrivacySettings
from amplitude_source.tables import EXPORT_TYPES, REQUIRED_KEYS
from support.redaction import KEY, SETTINGS


@configspec
class Source(BaseConfiguration):
    """As the source's settings hold the rules."""

    privacy: PrivacySettings = None  # type: ignore[assignment]  # dlt resolves it


def resolved() -> PrivacySettings:
    return resolve_configuration(Source(), sections=("sources", "amplitude")).privacy


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that dlt takes for the project."""
    run_context, before = Container()[PluggableRunContext], Path.cwd()
    (tmp_path / ".dlt").mkdir()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    monkeypatch.chdir(before)
    run_context.reload(str(before))


def reload(project: Path) -> None:
    Container()[PluggableRunContext].reload(str(project))


@pytest.mark.usefixtures("project")
def test_without_settings_there_is_no_redactor() -> None:
    assert resolved().redactor() is None
    assert PrivacySettings(hash_key=KEY).redactor() is None


def test_rules_come_from_dlts_files(project: Path) -> None:
    section = "[sources.amplitude.privacy]\n"
    rules = 'profile = "ip_and_location"\ndrop = ["idfa", "adid"]\nnull = ["language"]\nhash = ["user_id"]\n'
    (project / ".dlt/config.toml").write_text(section + rules)
    (project / ".dlt/secrets.toml").write_text(f'{section}hash_key = "{KEY}"\n')
    reload(project)
    assert dict(resolved()) == {
        "profile": "ip_and_location",
        "drop": ["idfa", "adid"],
        "null": ["language"],
        "hash": ["user_id"],
        "hash_key": KEY,
    }
    assert resolved().redactor()


def test_rules_come_from_the_environment_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".dlt/config.toml").write_text('[sources.amplitude.privacy]\ndrop = ["idfa"]\nhash = ["groups"]\n')
    reload(project)
    monkeypatch.setenv(f"{SETTINGS}__HASH", '["user_id", "user_properties/email"]')
    monkeypatch.setenv(f"{SETTINGS}__HASH_KEY", KEY)
    found = resolved()
    assert (found.drop, found.hash, found.hash_key) == (["idfa"], ["user_id", "user_properties/email"], KEY)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"profile": "gdpr"}, "PROFILE", "there is no 'gdpr'; write one of these: ip_and_location"),
    *(
        ({"drop": [path]}, "DROP", "is no path")
        for path in ("", "/", "/city", "city/", "groups//a", "groups/~2", "~", 7)
    ),
    ({"drop": ["city"], "null": ["city"]}, "NULL", "'city' falls under 'city' of SOURCES__AMPLITUDE__PRIVACY__DROP"),
    ({"drop": ["city", "city"]}, "DROP", "'city' falls under 'city' of SOURCES__AMPLITUDE__PRIVACY__DROP"),
    ({"null": ["groups/a/b", "a"], "drop": ["groups/a", "groups/b"]}, "NULL", "'groups/a/b' falls under 'groups/a'"),
    ({"hash": ["groups"], "null": ["groups/a"], "hash_key": KEY}, "NULL", "'groups/a' falls under 'groups'"),
    ({"profile": "ip_and_location", "drop": ["city"]}, "DROP", "of SOURCES__AMPLITUDE__PRIVACY__PROFILE too"),
    ({"hash": ["user_id"]}, "HASH_KEY", "is missing or shorter than 16 characters"),
    ({"hash": ["user_id"], "hash_key": ""}, "HASH_KEY", "is missing or shorter"),
    ({"hash": ["user_id"], "hash_key": KEY[1:]}, "HASH_KEY", "is missing or shorter"),
    ({"drop": ["city"], "hash_key": KEY[1:]}, "HASH_KEY", "is missing or shorter"),
    *(
        ({action: [path], "hash_key": KEY}, action.upper(), f"{path!r} is what no row can be loaded without")
        for path in (*REQUIRED_KEYS, "uuid/x")
        for action in ("drop", "null", "hash")
    ),
    *(
        ({"hash": [key], "hash_key": KEY}, "HASH", f"{key!r} is a {type_}, which a hash is not")
        for key, type_ in EXPORT_TYPES.items()
        if type_ not in ("text", "json") and key not in REQUIRED_KEYS
    ),
    *(
        ({action: [path]}, action.upper(), f"{path!r} tells the copies of an event; put it into {SETTINGS}__HASH")
        for path in ("device_id", "$insert_id")
        for action in ("drop", "null")
    ),
    ({"drop": ["user_id/email"]}, "DROP", "'user_id/email' leads into user_id, which has no values inside"),
    ({"hash": ["session_id/x"], "hash_key": KEY}, "HASH", "'session_id/x' leads into session_id"),
]


@pytest.mark.parametrize(("rules", "name", "cause"), WRONG)
def test_a_setting_that_cannot_be_followed_is_told_in_one_sentence_that_names_it(
    rules: dict[str, Any], name: str, cause: str
) -> None:
    with pytest.raises(AmplitudeError) as error:
        PrivacySettings(**rules).redactor()
    sentence = str(error.value)
    assert sentence.startswith(f"{SETTINGS}__{name}")
    assert cause in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert KEY[1:] not in sentence


def test_the_key_shows_nowhere() -> None:
    rules = PrivacySettings(hash=["user_id"], hash_key=KEY)
    assert KEY not in f"{rules!r} {rules} {rules.redactor()!r}"
