"""What Snowflake refuses, told in one sentence."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from amplitude_source.bronze.snowflake import REFUSALS, login_of, refusal
from amplitude_source.errors import AmplitudeError
from support.snowflake_standin import make_key

# What Snowflake says, as it is documented or was seen, and what the sentence must have.
SAID = [
    (
        "250001 (08001): Failed to connect to DB: a.b:443. JWT token is invalid. [0a-1b]",
        "ALTER USER LOADER SET RSA_PUB",
    ),
    ("Make sure that `private_key` in dlt recognized format is at `k.p8`.", "PRIVATE_KEY_PATH: k.p8 is no private key"),
    ("250001 (08001): Incorrect username or password was specified.", "no user LOADER"),
    ("Role 'R' specified in the connect string does not exist or not authorized.", "GRANT ROLE R TO USER LOADER;"),
    ("000606 (57P03): No active warehouse selected in the current session.", "ALTER WAREHOUSE WH SET AUTO_RESUME"),
    ("Warehouse 'W' cannot be resumed because resource monitor 'M' has exceeded its quota.", "RESOURCE MONITOR M SET"),
    ("Insufficient privileges to operate on schema 'BRONZE'", "GRANT CREATE TABLE ON SCHEMA BRONZE TO ROLE LOADERS;"),
    ("Insufficient privileges to operate on table 'EVENTS'", "GRANT OWNERSHIP ON TABLE EVENTS TO ROLE LOADERS;"),
    ("Insufficient privileges to operate on integration 'LAKE'", "GRANT USAGE ON INTEGRATION LAKE TO ROLE LOADERS;"),
    ("Insufficient privileges to operate on warehouse 'W'", "GRANT USAGE ON WAREHOUSE W TO ROLE LOADERS;"),
    ("Stage 'D.BRONZE.S' does not exist or not authorized.", "GRANT USAGE ON STAGE D.BRONZE.S TO ROLE LOADERS;"),
    ("Schema 'D.BRONZE' does not exist or not authorized.", "GRANT USAGE ON SCHEMA D.BRONZE TO ROLE LOADERS;"),
    ("This session does not have a current database.", "GRANT USAGE ON DATABASE D TO ROLE LOADERS;"),
    ("This session does not have a current schema.", "GRANT USAGE ON SCHEMA D.BRONZE TO ROLE LOADERS;"),
    ("Location 's3://x/' is not allowed by integration 'I'.", "ALLOWED_LOCATIONS = ('s3://lake/staging/');"),
    ("Remote file 's3://lake/staging//a' was not found.", "ALTER STAGE BRONZE.S SET URL = 's3://lake/staging/';"),
    ("Failed to access remote file: access denied. Please check your credentials", "infra/handshake.py"),
    ("Error assuming AWS_ROLE: User is not authorized to perform: sts:AssumeRole", "infra/handshake.py"),
]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = {
        "USERNAME": "LOADER",
        "ROLE": "LOADERS",
        "WAREHOUSE": "WH",
        "DATABASE": "D",
        "PRIVATE_KEY_PATH": "k.p8",
    }
    for name, value in credentials.items():
        monkeypatch.setenv(f"DESTINATION__SNOWFLAKE__CREDENTIALS__{name}", value)
    monkeypatch.setenv("DESTINATION__SNOWFLAKE__STAGE_NAME", "BRONZE.S")
    monkeypatch.setenv("SOURCES__AMPLITUDE__LAKE__BUCKET_URL", "s3://lake")


@pytest.mark.parametrize(("said", "told"), SAID)
def test_what_is_refused_is_told_with_the_statement_that_allows_it(said: str, told: str) -> None:
    assert told in (refusal(Exception(said)) or "")


def test_each_sentence_has_a_case_and_anything_else_has_none() -> None:
    assert {refusal(Exception(said)) is None for said, _ in SAID} == {False}
    sentences = {sentence.partition("{")[0] for sentence in REFUSALS.values()}
    told = [refusal(Exception(said)) or "" for said, _ in SAID]
    assert [each for each in sentences if not any(text.startswith(each) for text in told)] == []
    assert refusal(Exception("Numeric value 'x' is not recognized")) is None


def test_another_tool_signs_in_with_its_own_key_and_else_as_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, own = (make_key(tmp_path / name) for name in ("ours.pem", "own.pem"))
    pipeline = "DESTINATION__SNOWFLAKE__CREDENTIALS__"
    monkeypatch.setenv(f"{pipeline}HOST", "account")
    monkeypatch.setenv(f"{pipeline}PRIVATE_KEY_PATH", str(tmp_path / "ours.pem"))
    names = [f"TOOL_{name}" for name in ("USERNAME", "ROLE", "PRIVATE_KEY_PATH")]

    def signed() -> tuple[str, str, bytes]:
        login = login_of("TOOL_", names)
        return login["user"], login["role"], login["private_key"]

    def der(key: rsa.RSAPrivateKey) -> bytes:
        form = serialization.PrivateFormat.PKCS8
        return key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())

    assert signed() == ("LOADER", "LOADERS", der(ours))
    for name, value in zip(names, ("TOOL", "TOOLS", str(tmp_path / "own.pem")), strict=True):
        monkeypatch.setenv(name, value)
    assert signed() == ("TOOL", "TOOLS", der(own))
    for text in ("no key", None):
        path = tmp_path / "away.pem"
        path.write_text(text) if text else path.unlink()
        monkeypatch.setenv("TOOL_PRIVATE_KEY_PATH", str(path))
        with pytest.raises(AmplitudeError, match=r"TOOL_PRIVATE_KEY_PATH: .*away.pem is no private key in PEM"):
            signed()
