"""Amplitude's export to Google Cloud Storage: the rows of the API, and one sentence for whatever Google refuses."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.exported import APP, LAST, URL, write, write_merges
from support.gcs import ACCOUNT, Answer, Asked, GcsServer, refusal
from support.loads import START, assert_same_as_one_load, bronze
from support.project import Project, sentence, succeeded

pytestmark = pytest.mark.slow

BUCKET = "company-amplitude"
KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"


@pytest.fixture
def on_gcs(project: Project, gcs: GcsServer, tmp_path: Path) -> Project:
    """A project whose hours lie in a bucket, in the folders that Amplitude documents."""
    made = write(tmp_path / "made")
    write_merges(made, START, (1, 2))
    gcs.put(BUCKET, made)
    project.env |= {**gcs.env(tmp_path / "google"), URL: f"gs://{BUCKET}", "NO_GCE_CHECK": "true"}
    return project


@pytest.fixture
def no_waiting_for_google(monkeypatch: pytest.MonkeyPatch) -> None:
    """gcsfs asks six times before it gives up, and waits longer each time."""

    async def at_once(_seconds: float, result: object = None) -> object:
        return result

    monkeypatch.setattr("asyncio.sleep", at_once)


@pytest.mark.parametrize("prefix", ["", "exports/amplitude/"])
def test_the_same_from_gcs_as_from_the_api_and_from_its_archive_once_the_setting_is_gone(
    on_gcs: Project, gcs: GcsServer, loaded_data: Path, prefix: str
) -> None:
    gcs.buckets[BUCKET] = {f"{prefix}{key}": data for key, data in gcs.buckets[BUCKET].items()}
    gcs.buckets[BUCKET]["a note.txt"] = b"not an export"
    on_gcs.env[URL] = f"gs://{BUCKET}/{prefix}"
    succeeded(on_gcs.load_here())
    assert_same_as_one_load(on_gcs, loaded_data)
    assert on_gcs.query("SELECT amplitude_id FROM bronze.merge_ids") == [(1,)]
    assert on_gcs.archived() == {}, "the archive refers to the files"
    del on_gcs.env[URL]
    succeeded(on_gcs.load_here("archive", "verify"))
    on_gcs.database.unlink()
    succeeded(on_gcs.load_here("--replay"))
    assert bronze(on_gcs) == bronze(Project(loaded_data.parent))


def test_a_bucket_of_gcs_is_replayed_as_it_is(on_gcs: Project, loaded_data: Path) -> None:
    del on_gcs.env[URL]
    succeeded(on_gcs.load_here("--replay", f"gs://{BUCKET}"))
    assert_same_as_one_load(on_gcs, loaded_data)


def test_files_that_google_would_unzip_on_their_way_come_as_they_are(
    on_gcs: Project, gcs: GcsServer, loaded_data: Path
) -> None:
    gcs.zipped = {key for key in gcs.buckets[BUCKET] if key.endswith(".gz")}
    succeeded(on_gcs.load_here())
    assert_same_as_one_load(on_gcs, loaded_data)


def test_merges_under_the_projects_number_come_as_those_of_the_organization_do(
    on_gcs: Project, gcs: GcsServer, tmp_path: Path
) -> None:
    """Amplitude writes them so for some legacy organizations."""
    legacy = tmp_path / "legacy"
    legacy.mkdir()
    write_merges(legacy, LAST, (3, 4), owner=str(APP))
    gcs.put(BUCKET, legacy)
    succeeded(on_gcs.load_here())
    merges = "SELECT amplitude_id FROM bronze.merge_ids ORDER BY ALL"
    assert on_gcs.query(merges) == [(1,), (3,)]
    on_gcs.database.unlink()
    succeeded(on_gcs.load_here("--replay", f"gs://{BUCKET}"))
    assert on_gcs.query(merges) == [(1,), (3,)]


def test_the_lakes_own_keys_of_aws_are_not_asked_for_with_a_bucket_of_gcs(on_gcs: Project, gcs: GcsServer) -> None:
    on_gcs.env["SOURCES__AMPLITUDE__LAKE__CREDENTIALS__AWS_ACCESS_KEY_ID"] = "AKIA"
    succeeded(on_gcs.load_here())
    assert gcs.asked


# --- what is wrong


def _no_right(_project: Project, gcs: GcsServer) -> None:
    gcs.fault = lambda _asked: refusal(
        403, f"{ACCOUNT} does not have storage.objects.list access to the Google Cloud Storage bucket."
    )


def _no_right_to_files(_project: Project, gcs: GcsServer) -> None:
    gcs.fault = lambda asked: refusal(403, "Access denied.") if asked.key else None


def _missing_bucket(project: Project, _gcs: GcsServer) -> None:
    project.env[URL] = "gs://no-such-bucket/amplitude"


def _empty_prefix(project: Project, _gcs: GcsServer) -> None:
    project.env[URL] = f"gs://{BUCKET}/nowhere"


def _no_credentials(project: Project, _gcs: GcsServer) -> None:
    del project.env[KEY_FILE]


def _key_file_away(project: Project, _gcs: GcsServer) -> None:
    project.env[KEY_FILE] = "/no/key.json"


def _another_key(project: Project, _gcs: GcsServer) -> None:
    path = Path(project.env[KEY_FILE])
    account = json.loads(path.read_text())
    path.write_text(json.dumps(account | {"client_email": "someone@else.iam.gserviceaccount.com"}))


def _expired(_project: Project, gcs: GcsServer) -> None:
    gcs.fault = lambda _asked: refusal(401, "Invalid Credentials")


def _away(project: Project, _gcs: GcsServer) -> None:
    project.env["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:9"


def _out_of_order(_project: Project, gcs: GcsServer) -> None:
    gcs.fault = lambda _asked: refusal(503, "Backend Error")


def _breaks_off(_project: Project, gcs: GcsServer) -> None:
    def cut(asked: Asked) -> Answer | None:
        return Answer(206, b"half", promised=100) if asked.query.get("alt") == "media" else None

    gcs.fault = cut


FAULTS: dict[str, tuple[Callable[[Project, GcsServer], None], list[str]]] = {
    "no right": (_no_right, ["Google refuses storage.objects.list on gs://", ACCOUNT, "Storage Object Viewer"]),
    "no right to files": (_no_right_to_files, [f"refuses storage.objects.get on gs://{BUCKET}/", "Access denied"]),
    "no such bucket": (_missing_bucket, [URL, "there is no bucket no-such-bucket"]),
    "nothing there": (_empty_prefix, [URL, f"there are no exported files in gs://{BUCKET}/nowhere"]),
    "no credentials": (_no_credentials, [URL, "no Google credentials", KEY_FILE, "gcloud auth"]),
    "key file away": (_key_file_away, ["no Google credentials", "/no/key.json", KEY_FILE]),
    "another key": (_another_key, ["does not accept the credentials", "invalid_scope", "renew"]),
    "expired": (_expired, ["does not accept the credentials", "Invalid Credentials", "renew"]),
    "away": (_away, ["cannot be reached", "127.0.0.1:9", "run again"]),
    "out of order": (_out_of_order, [f"failed at gs://{BUCKET}", "Backend Error", "run again"]),
    "breaks off": (_breaks_off, [f"breaks off, at gs://{BUCKET}/", "run again"]),
}


@pytest.mark.usefixtures("no_waiting_for_google")
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_gcs_is_one_sentence(on_gcs: Project, gcs: GcsServer, fault: str) -> None:
    cause, named = FAULTS[fault]
    cause(on_gcs, gcs)
    result = on_gcs.load_here()
    message = sentence(result)
    assert [part for part in named if part not in message] == [], message
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_without_the_extra_one_sentence_says_how_to_install_it(
    on_gcs: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "amplitude_source.lake.gcs", raising=False)
    monkeypatch.setitem(sys.modules, "gcsfs.core", None)
    message = sentence(on_gcs.load_here())
    assert f"gs://{BUCKET} cannot be read, because gcsfs.core is not installed" in message
    assert "pip install --editable '.[gcs]'" in message


def test_a_file_that_is_written_anew_while_it_is_read_is_refused(on_gcs: Project, gcs: GcsServer) -> None:
    def rewrite(asked: Asked) -> None:
        if asked.query.get("alt") == "media" and "#" in asked.key:
            gcs.buckets[BUCKET][asked.key] += b"more"

    gcs.fault = rewrite
    assert "cannot be archived" in sentence(on_gcs.load_here())
