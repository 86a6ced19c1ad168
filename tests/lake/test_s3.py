"""The lake on S3: the archive as on a disk, with uploads that S3 makes visible as a whole, and every fault named."""

import gzip
import hashlib
import io
import json
import random
import subprocess
import sys
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest
from dlt.common.configuration.specs import AwsCredentials
from dlt.common.storages import FilesystemConfiguration

from amplitude_source.errors import AmplitudeError
from amplitude_source.lake.archive import Archive, IncompleteHourError, Member, MemberName
from amplitude_source.lake.s3 import HOURS_AHEAD, PART_BYTES
from amplitude_source.lake.storage import LakeError
from amplitude_source.settings import HOUR, hours_between
from simulator.archive import Archive as Exports
from simulator.server import Simulator
from support.assertions import rows_that_do_not_count
from support.loads import assert_same_as_one_load
from support.members import SMALL_PRODUCT, export_row, gzip_lines, hour_text, member_name
from support.project import Project, sentence, succeeded
from support.s3 import ADMIN, Asked, Refusal, S3Server
from support.tiers import first_lands

pytestmark = pytest.mark.slow  # a real server, some two minutes of work

FIRST_HOUR = SMALL_PRODUCT.start
MEMBERS = list(SMALL_PRODUCT.members())
ASKED_AT = datetime(2026, 6, 2, 12, 30)
GOOD, OTHER = gzip_lines(export_row()), gzip_lines(export_row(), export_row())


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.new_bucket()


@pytest.fixture
def archive(s3: S3Server, bucket: str) -> Archive:
    return archive_in(s3, bucket)


def archive_in(s3: S3Server, bucket: str) -> Archive:
    credentials = AwsCredentials(endpoint_url=s3.url)
    credentials.update(ADMIN)
    return Archive(FilesystemConfiguration(f"s3://{bucket}/amplitude", credentials), "web")


@pytest.fixture
def on_s3(project: Project, s3: S3Server, bucket: str) -> Project:
    """A project whose lake is a bucket."""
    project.env |= s3.env(bucket)
    return project


@pytest.fixture
def no_waiting_for_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore asks five times before it gives up, and waits longer each time."""

    async def at_once(_seconds: float, result: object = None) -> object:
        return result

    monkeypatch.setattr("asyncio.sleep", at_once)


def member(data: bytes, partition: int = 0) -> Member:
    def opened() -> IO[bytes]:
        return io.BytesIO(data)

    name = MemberName.parse(member_name(FIRST_HOUR, partition))
    assert name
    return Member(name, opened)


def key_of(partition: int = 0, project: str = "web") -> str:
    folder = f"app={SMALL_PRODUCT.app}/date={FIRST_HOUR:%Y-%m-%d}/hour={FIRST_HOUR:%H}"
    return f"amplitude/raw/project={project}/{folder}/{member_name(FIRST_HOUR, partition)}"


def members_in(s3: S3Server, bucket: str) -> dict[str, bytes]:
    return {key: data for key, data in s3.files(bucket).items() if key.endswith(".json.gz")}


def calls(s3: S3Server) -> Counter[str]:
    return Counter(asked.call for asked in s3.asked)


# --- the archive


def test_members_are_stored_byte_for_byte_and_read_again(archive: Archive, s3: S3Server, bucket: str) -> None:
    stored = archive.store_hour(FIRST_HOUR, [member(GOOD), member(OTHER, 7)], ASKED_AT)
    assert members_in(s3, bucket) == {key_of(0): GOOD, key_of(7): OTHER}
    again = archive_in(s3, bucket)
    assert (FIRST_HOUR in again, FIRST_HOUR + HOUR in again, again.hours()) == (True, False, [FIRST_HOUR])
    read = again.read_hour(FIRST_HOUR)
    assert [(m.name, m.size, m.sha256) for m in read.members] == [(m.name, m.size, m.sha256) for m in stored.members]
    assert [b"".join(m.text()) for m in read.members] == [gzip.decompress(GOOD), gzip.decompress(OTHER)]
    assert s3.unfinished(bucket) == []


def test_an_hour_is_replaced_as_a_whole_with_its_members(archive: Archive, s3: S3Server, bucket: str) -> None:
    archive.store_hour(FIRST_HOUR, [member(GOOD, number) for number in range(3)], ASKED_AT)
    archive.store_hour(FIRST_HOUR, [member(OTHER, 1)], ASKED_AT)
    assert members_in(s3, bucket) == {key_of(1): OTHER}
    assert [m.size for m in archive.read_hour(FIRST_HOUR).members] == [len(OTHER)]


@pytest.mark.parametrize("broken", [0, 1])
def test_a_broken_member_changes_nothing_and_its_hours_uploads_are_aborted(
    archive: Archive, s3: S3Server, bucket: str, broken: int
) -> None:
    archive.store_hour(FIRST_HOUR, [member(GOOD, 0), member(GOOD, 1)], ASKED_AT)
    before = s3.files(bucket)
    with pytest.raises(AmplitudeError, match="no complete gzip file"):
        archive.store_hour(FIRST_HOUR, [member(OTHER, 1 - broken), member(OTHER[:-3], broken)], ASKED_AT)
    assert s3.files(bucket) == before
    assert s3.unfinished(bucket) == []


def test_a_large_member_goes_in_parts_each_with_its_sha256(archive: Archive, s3: S3Server, bucket: str) -> None:
    data = gzip.compress(random.Random(1).randbytes(2 * PART_BYTES + (1 << 20)), compresslevel=1)
    archive.store_hour(FIRST_HOUR, [member(data)], ASKED_AT)
    assert members_in(s3, bucket) == {key_of(): data}
    assert s3.client("s3").head_object(Bucket=bucket, Key=key_of())["ETag"].endswith('-3"')
    sent = [asked.headers["x_amz_checksum_sha256"] for asked in s3.asked if asked.call == "UploadPart"]
    parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
    assert Counter(sent) == Counter(b64encode(hashlib.sha256(part).digest()).decode() for part in parts)
    (read,) = archive.read_hour(FIRST_HOUR).members
    assert hashlib.sha256(b"".join(read.text())).digest() == hashlib.sha256(gzip.decompress(data)).digest()


def test_a_member_damaged_on_its_way_does_not_count_until_stored_again(
    archive: Archive, s3: S3Server, bucket: str
) -> None:
    """Moto does not compare a part with its SHA-256, as S3 does: what S3 says that it has is compared besides."""

    def damage(asked: Asked, body: bytes) -> bytes:
        return bytes([body[0] ^ 1]) + body[1:] if asked.call == "UploadPart" else body

    archive.store_hour(FIRST_HOUR, [member(GOOD)], ASKED_AT)
    s3.fault = damage
    with pytest.raises(LakeError, match=f"s3://{bucket}/{key_of()} is not what was sent"):
        archive.store_hour(FIRST_HOUR, [member(OTHER)], ASKED_AT)
    s3.fault = None
    with pytest.raises(IncompleteHourError):
        archive.read_hour(FIRST_HOUR)
    assert not archive.holds(FIRST_HOUR, [member(OTHER)])
    archive.store_hour(FIRST_HOUR, [member(OTHER)], ASKED_AT)
    assert [m.size for m in archive.read_hour(FIRST_HOUR).members] == [len(OTHER)]


@pytest.mark.usefixtures("no_waiting_for_s3")
def test_a_part_that_s3_finds_damaged_changes_nothing(archive: Archive, s3: S3Server, bucket: str) -> None:
    def refuse(asked: Asked, _body: bytes) -> Refusal | None:
        return Refusal(400, "BadDigest", "no match") if asked.call == "UploadPart" else None

    archive.store_hour(FIRST_HOUR, [member(GOOD)], ASKED_AT)
    before = s3.files(bucket)
    s3.fault = refuse
    with pytest.raises(LakeError, match="BadDigest"):
        archive.store_hour(FIRST_HOUR, [member(OTHER)], ASKED_AT)
    s3.fault = None
    assert (s3.files(bucket), s3.unfinished(bucket)) == (before, [])


# --- the command


def test_a_load_into_a_lake_on_s3_equals_one_into_a_folder(
    on_s3: Project, s3: S3Server, bucket: str, loaded_data: Path
) -> None:
    succeeded(on_s3.load_here())
    assert_same_as_one_load(on_s3, loaded_data)
    local = {path.relative_to(loaded_data / "lake").as_posix(): path for path in (loaded_data / "lake").rglob("*")}
    expected = {f"amplitude/{name}": path.read_bytes() for name, path in local.items() if path.is_file()}
    assert s3.files(bucket) == expected
    assert not on_s3.lake.exists()
    assert s3.unfinished(bucket) == []


def test_replay_rebuilds_bronze_from_s3_without_the_api_and_only_reads(
    on_s3: Project, simulator: Simulator, s3: S3Server, bucket: str, loaded_data: Path
) -> None:
    put_lake(s3, bucket, loaded_data)
    succeeded(on_s3.load_here("--replay"))
    assert simulator.requests == []
    assert calls(s3).keys() == {"ListObjectsV2", "HeadObject", "GetObject"}
    assert_same_as_one_load(on_s3, loaded_data)


def put_lake(s3: S3Server, bucket: str, data: Path) -> None:
    """Copies a lake into the bucket, as if nothing had been asked yet."""
    client, lake = s3.client("s3"), data / "lake"
    for path in (path for path in lake.rglob("*") if path.is_file()):
        client.put_object(Bucket=bucket, Key=f"amplitude/{path.relative_to(lake).as_posix()}", Body=path.read_bytes())
    s3.asked.clear()


def test_a_replay_reads_hours_ahead_and_loads_the_same_rows_in_order(
    on_s3: Project, s3: S3Server, bucket: str, loaded_data: Path
) -> None:
    put_lake(s3, bucket, loaded_data)
    hours, together = iter(range(HOURS_AHEAD + 1)), threading.Barrier(HOURS_AHEAD + 1)

    def answer_at_once(asked: Asked, _body: bytes) -> None:
        if asked.call == "GetObject" and next(hours, None) is not None:
            together.wait(10)

    s3.fault = answer_at_once
    succeeded(on_s3.load_here("--replay"))
    assert not together.broken, "the first hours were not asked for at the same time"
    rows = "SELECT _export_hour, _archive_file, _archive_row, uuid FROM bronze.events"
    assert on_s3.query(rows) == Project(loaded_data.parent).query(rows)


def test_an_hour_that_is_not_whole_on_s3_is_told_and_all_others_are_loaded(
    on_s3: Project, s3: S3Server, bucket: str, loaded_data: Path
) -> None:
    put_lake(s3, bucket, loaded_data)
    lost = MEMBERS[HOURS_AHEAD]
    (key,) = (key for key in s3.files(bucket) if key.endswith(f"/{lost.file_name}"))
    s3.client("s3").delete_object(Bucket=bucket, Key=key)
    assert f"Hour {hour_text(lost.hour)} is not whole in the archive" in sentence(on_s3.load_here("--replay"))
    hours = [hour for (hour,) in on_s3.query("SELECT export_hour FROM bronze.export_hours ORDER BY 1")]
    assert hours == [hour for hour in hours_between(hours[0], hours[-1]) if hour != lost.hour]
    assert hours[-1] > lost.hour


def test_what_is_exported_anew_replaces_what_is_on_s3(
    on_s3: Project, simulator: Simulator, s3: S3Server, bucket: str
) -> None:
    kept, gone = next(two for two in pairwise(MEMBERS) if two[0].hour == two[1].hour)
    hour = ("--start", hour_text(gone.hour), "--end", hour_text(gone.hour))
    succeeded(on_s3.load_here(*hour))
    simulator.archive = Exports([kept])
    succeeded(on_s3.load_here(*hour))
    assert list(members_in(s3, bucket).values()) == [kept.data]


SOME_HOURS = ("--end", hour_text(FIRST_HOUR + 5 * HOUR))
SOME_MEMBERS = [m for m in MEMBERS if m.hour <= FIRST_HOUR + 5 * HOUR]


def assert_some_hours(project: Project, s3: S3Server, bucket: str) -> None:
    """Bronze and the archive hold `SOME_HOURS`, each row once."""
    assert project.query("SELECT COUNT(*), COUNT(DISTINCT uuid) FROM bronze.events") == [
        (sum(m.rows for m in SOME_MEMBERS), len({uuid for m in SOME_MEMBERS for uuid in uuids_of(m.data)}))
    ]
    assert rows_that_do_not_count(project) == []
    assert Counter(members_in(s3, bucket).values()) == Counter(m.data for m in SOME_MEMBERS)


def uuids_of(data: bytes) -> list[str]:
    return [json.loads(line)["uuid"] for line in gzip.decompress(data).splitlines()]


@pytest.mark.parametrize("moment", ["UploadPart", "CompleteMultipartUpload", "PutObject"])
def test_a_run_killed_at_s3_leaves_nothing_and_the_next_goes_on(
    on_s3: Project, s3: S3Server, bucket: str, moment: str
) -> None:
    """Killed by SIGKILL when S3 gets a first part, is told that it was the last, or gets the second manifest."""
    left = iter(range(moment == "PutObject"))
    struck = threading.Event()

    def kill(asked: Asked, _body: bytes) -> Refusal | None:
        if asked.call != moment or next(left, None) is not None:
            return None
        process.kill()
        struck.set()
        return Refusal(500, "InternalError")

    s3.fault = kill
    with subprocess.Popen(
        [sys.executable, "pipelines/amplitude.py", *SOME_HOURS], cwd=on_s3.root, env=on_s3.env, stderr=subprocess.PIPE
    ) as process:
        process.wait(60)
    assert struck.is_set(), f"S3 got no {moment}"
    s3.fault = None
    assert len([key for key in s3.files(bucket) if "/hours/" in key]) == (moment == "PutObject")
    assert len(s3.unfinished(bucket)) == (0 if moment == "PutObject" else 1)
    succeeded(on_s3.load_here(*SOME_HOURS))
    assert_some_hours(on_s3, s3, bucket)


def test_what_s3_is_to_encrypt_with_can_be_set(on_s3: Project, s3: S3Server) -> None:
    """By default that is the bucket's own choice."""
    succeeded(on_s3.load_here(*SOME_HOURS))
    assert not [asked for asked in s3.asked if "x_amz_server_side_encryption" in asked.headers]
    s3.asked.clear()
    settings = '{"s3_additional_kwargs": {"ServerSideEncryption": "aws:kms"}}'
    succeeded(on_s3.load_here("--start", *SOME_HOURS[1:], *SOME_HOURS, SOURCES__AMPLITUDE__LAKE__KWARGS=settings))
    written = [asked for asked in s3.asked if asked.call in ("CreateMultipartUpload", "PutObject")]
    assert {asked.headers.get("x_amz_server_side_encryption") for asked in written} == {"aws:kms"}


def _from_a_profile(project: Project) -> None:
    folder = Path(project.env["HOME"]) / ".aws"
    folder.mkdir()
    keys = project.env.pop("AWS_ACCESS_KEY_ID"), project.env.pop("AWS_SECRET_ACCESS_KEY")
    lines = f"[loader]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n"
    (folder / "credentials").write_text(lines)
    project.env["AWS_PROFILE"] = "loader"


def _from_a_role(project: Project) -> None:
    """Which moto lets anybody take."""
    _from_a_profile(project)
    role = "role_arn = arn:aws:iam::123456789012:role/loader\nsource_profile = loader\n"
    (Path(project.env["HOME"]) / ".aws/config").write_text(f"[profile with_role]\n{role}")
    project.env["AWS_PROFILE"] = "with_role"


def _from_settings_of_the_lake(project: Project) -> None:
    prefix = "SOURCES__AMPLITUDE__LAKE__CREDENTIALS__"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        project.env[f"{prefix}{name}"] = project.env.pop(name)
    project.env[f"{prefix}ENDPOINT_URL"] = project.env.pop("AWS_ENDPOINT_URL")
    project.env[f"{prefix}REGION_NAME"] = project.env.pop("AWS_DEFAULT_REGION")


@pytest.mark.parametrize("give_credentials", [_from_a_profile, _from_a_role, _from_settings_of_the_lake])
@pytest.mark.parametrize("destination", first_lands(["filesystem", "duckdb"]))
def test_credentials_of_a_profile_a_role_or_settings_are_kept_nowhere(
    on_s3: Project, give_credentials: Callable[[Project], None], destination: str
) -> None:
    give_credentials(on_s3)
    result = succeeded(on_s3.load_here(*SOME_HOURS, "--destination", destination))
    secret = ADMIN["aws_secret_access_key"]
    assert secret not in result.stdout + result.stderr
    assert [
        path for path in (on_s3.root / "data").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ] == []


# --- what the user can mend


def _missing_bucket(project: Project, _s3: S3Server) -> None:
    project.env["SOURCES__AMPLITUDE__LAKE__BUCKET_URL"] = "s3://no-such-lake/amplitude"


def _no_bucket_name(project: Project, _s3: S3Server) -> None:
    project.env["SOURCES__AMPLITUDE__LAKE__BUCKET_URL"] = "s3://No Lake!/amplitude"


def _another_store(project: Project, _s3: S3Server) -> None:
    project.env["SOURCES__AMPLITUDE__LAKE__BUCKET_URL"] = "memory://lake"


def _no_credentials(project: Project, _s3: S3Server) -> None:
    del project.env["AWS_ACCESS_KEY_ID"], project.env["AWS_SECRET_ACCESS_KEY"]


def _half_credentials(project: Project, _s3: S3Server) -> None:
    del project.env["AWS_SECRET_ACCESS_KEY"]


def _missing_profile(project: Project, _s3: S3Server) -> None:
    project.env["AWS_PROFILE"] = "nobody"


def _refused_role(project: Project, s3: S3Server) -> None:
    _from_a_role(project)
    s3.check_rights(0)


def _wrong_credentials(project: Project, s3: S3Server) -> None:
    s3.check_rights(0)
    project.env["AWS_ACCESS_KEY_ID"] = "AKIANOBODY"


def _refused(status: int, code: str, message: str = "", **headers: str) -> Callable[[Project, S3Server], None]:
    def refuse(_project: Project, s3: S3Server) -> None:
        named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        s3.fault = lambda _asked, _body: Refusal(status, code, message, named)

    return refuse


def _endpoint_away(project: Project, _s3: S3Server) -> None:
    project.env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"


def _certificates_away(project: Project, _s3: S3Server) -> None:
    project.env["AWS_CA_BUNDLE"] = "/no/company.pem"


DENIED_BY_NAME = (
    "User: arn:aws:iam::1:user/x is not authorized to perform: kms:GenerateDataKey on resource: "
    '"arn:aws:kms:eu-central-1:1:key/abc" because no identity-based policy allows the kms:GenerateDataKey action'
)
FAULTS: dict[str, tuple[Callable[[Project, S3Server], None], list[str]]] = {
    "no such bucket": (_missing_bucket, ["There is no bucket no-such-lake", "BUCKET_URL", "infra/aws/template.yaml"]),
    "no bucket's name": (_no_bucket_name, ["BUCKET_URL", 'Invalid bucket name "No Lake!"']),
    "neither folder nor s3": (_another_store, ["BUCKET_URL", "memory://lake", "s3://bucket/prefix"]),
    "no credentials": (_no_credentials, ["no AWS credentials", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"]),
    "half of the credentials": (_half_credentials, ["no AWS credentials", "Partial", "AWS_SECRET_ACCESS_KEY"]),
    "no such profile": (_missing_profile, ["no AWS credentials", "nobody", "AWS_PROFILE"]),
    "a role that is refused": (_refused_role, ["no AWS credentials", "AssumeRole"]),
    "unknown key": (_wrong_credentials, ["does not accept the credentials", "InvalidAccessKeyId"]),
    "wrong secret": (_refused(403, "SignatureDoesNotMatch"), ["does not accept the credentials"]),
    "expired token": (_refused(400, "ExpiredToken"), ["does not accept the credentials", "ExpiredToken", "renew"]),
    "wrong clock": (_refused(403, "RequestTimeTooSkewed"), ["clock"]),
    "no right": (_refused(403, "AccessDenied"), ["refuses s3:ListBucket on s3://lake-", "/amplitude/", "grant it"]),
    "no right to a key": (
        _refused(403, "AccessDenied", DENIED_BY_NAME),
        ["refuses kms:GenerateDataKey on arn:aws:kms"],
    ),
    "another region": (
        _refused(301, "PermanentRedirect", "use another endpoint", x_amz_bucket_region="us-west-2"),
        ["lies in region us-west-2", "AWS_DEFAULT_REGION"],
    ),
    "s3 out of order": (_refused(500, "InternalError", "try later"), ["InternalError", "run again"]),
    "certificates away": (_certificates_away, ["AWS_CA_BUNDLE names /no/company.pem, which does not exist"]),
    "endpoint away": (_endpoint_away, ["cannot be reached", "http://127.0.0.1:9"]),
}


@pytest.mark.usefixtures("no_waiting_for_s3")
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_s3_is_one_sentence(on_s3: Project, s3: S3Server, fault: str) -> None:
    assert_told(on_s3, s3, fault)


@pytest.mark.usefixtures("no_waiting_for_s3")
@pytest.mark.parametrize(
    "fault", first_lands(["no such bucket", "no right"], ["no credentials", "a role that is refused"])
)
def test_what_is_wrong_with_s3_is_one_sentence_where_bronze_is_files_too(
    on_s3: Project, s3: S3Server, fault: str
) -> None:
    assert_told(on_s3, s3, fault, "--destination", "filesystem")


def assert_told(project: Project, s3: S3Server, fault: str, *options: str) -> None:
    cause, named = FAULTS[fault]
    cause(project, s3)
    message = sentence(project.load_here(*SOME_HOURS, *options))
    assert [part for part in named if part not in message] == [], message


@pytest.mark.usefixtures("no_waiting_for_s3")
@pytest.mark.parametrize("what", ["/hours/", ".json.gz"])
def test_an_answer_that_breaks_off_each_time_is_told_and_no_half_hour_is_loaded(
    on_s3: Project, s3: S3Server, bucket: str, what: str
) -> None:
    def cut(asked: Asked, _body: bytes) -> Refusal | None:
        return Refusal(206, "", promised=10_000) if asked.call == "GetObject" and what in asked.key else None

    succeeded(on_s3.load_here(*SOME_HOURS))
    on_s3.database.unlink()
    s3.fault = cut
    message = sentence(on_s3.load_here("--replay"))
    assert f"S3 breaks off while s3://{bucket}/amplitude/raw/project=default/" in message
    s3.fault = None
    succeeded(on_s3.load_here("--replay"))
    assert_some_hours(on_s3, s3, bucket)


def test_s3_that_fails_halfway_keeps_the_hours_before(on_s3: Project, s3: S3Server, bucket: str) -> None:
    manifests = iter(range(3))

    def refuse(asked: Asked, _body: bytes) -> Refusal | None:
        is_manifest = asked.call == "PutObject" and asked.key.endswith(".json")
        return Refusal(403, "AccessDenied") if is_manifest and next(manifests, None) is None else None

    s3.fault = refuse
    message = sentence(on_s3.load_here(*SOME_HOURS))
    assert "refuses s3:PutObject on s3://" in message
    assert f"hours/date={FIRST_HOUR:%Y-%m-%d}/hour=03.json" in message
    s3.fault = None
    assert on_s3.query("SELECT COUNT(*) FROM bronze.export_hours") == [(3,)]
    succeeded(on_s3.load_here(*SOME_HOURS))
    assert_some_hours(on_s3, s3, bucket)


def test_a_bronze_file_that_s3_refuses_is_one_sentence_and_loaded_next(on_s3: Project, s3: S3Server) -> None:
    def refuse(asked: Asked, _body: bytes) -> Refusal | None:
        is_events = asked.call == "PutObject" and "/bronze/events/" in asked.key
        return Refusal(403, "AccessDenied") if is_events else None

    s3.fault = refuse
    result = on_s3.load(*SOME_HOURS, "--destination", "filesystem")
    assert "refuses s3:PutObject on s3://" in sentence(result)
    assert len(result.stderr.splitlines()) == 1, result.stderr
    s3.fault = None
    loaded = succeeded(on_s3.load_here(*SOME_HOURS, "--destination", "filesystem"))
    assert f"{sum(m.rows for m in SOME_MEMBERS)} rows in bronze.events" in loaded.stdout


# --- memory

STORE_AND_READ = """
import sys
from datetime import datetime
from pathlib import Path
sys.path.insert(0, "pipelines")
from amplitude_source.lake.archive import Archive
from amplitude_source.export.exported import exported_files
from amplitude_source.settings import load_projects
(settings,) = load_projects()
archive = Archive(settings.lake, settings.project)
for hour, members in exported_files(Path(sys.argv[1])).hours.items():
    archive.store_hour(hour, members, datetime(2026, 6, 2))
    print(sum(len(piece) for member in archive.read_hour(hour).members for piece in member.text()))
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def test_an_hour_of_any_size_is_archived_on_s3_in_the_same_memory(on_s3: Project, tmp_path: Path) -> None:
    peaks = {}
    for megabytes in (48, 128):  # more than what waits for its turn, in both
        folder = tmp_path / str(megabytes)
        folder.mkdir()
        text = random.Random(megabytes).randbytes(megabytes << 20)
        (folder / member_name(FIRST_HOUR)).write_bytes(gzip.compress(text, compresslevel=0))
        read, kilobytes = map(int, succeeded(on_s3.run("-c", STORE_AND_READ, str(folder))).stdout.split())
        assert read == len(text)
        peaks[megabytes] = kilobytes / 1024
    assert peaks[128] - peaks[48] < 24, peaks
