"""`infra/aws/template.yaml`: deployed on moto, and each right that somebody must not have, tried.

Moto asks IAM about every request, but knows neither conditions nor the policies of buckets: those are judged by the
rules of IAM as `allows` has them, and refused where it says so. It deploys no bucket policy either, and of the bucket
only what is asserted there.
"""

import copy
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from botocore.exceptions import ClientError
from cfnlint.api import lint_all
from cfnlint.decode import cfn_yaml

from amplitude_source.settings import HOUR
from simulator.archive import Archive as Exports
from simulator.bucket import bucket_files
from simulator.server import Simulator
from support.members import SMALL_PRODUCT, hour_text
from support.project import REPOSITORY, Project, Result, sentence, succeeded
from support.s3 import Asked, Refusal, S3Server
from support.snowflake_standin import S3_ACCESS_KEY, STAGE, SnowflakeProject

pytestmark = pytest.mark.slow  # a real server, most of a minute of work

TEMPLATE = REPOSITORY / "infra/aws/template.yaml"
EXTERNAL_ID = "AMPLITUDE_SFCRole=1_abc"
MEMBERS = list(SMALL_PRODUCT.members())
_NUMBERS = itertools.count(1)

Policy: TypeAlias = dict[str, Any]


# --- what IAM would say


def allows(policy: Policy, right: str, resource: str, **context: str) -> bool:
    """Whether a policy allows it: a statement must, and none may deny. Conditions are those that the template has."""
    effects = {s["Effect"] for s in policy["Statement"] if _matches(s, right, resource, context)}
    return effects == {"Allow"}


def _matches(statement: Policy, right: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        _is_among(right, statement["Action"])
        and _is_among(resource, statement.get("Resource", resource))
        and all(
            _is_among(context.get(key.partition(":")[2], ""), wanted)
            for test, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
            if test in {"StringLike", "StringEquals", "Bool"} or pytest.fail(f"{test} is not known here")
        )
    )


def _is_among(value: str, patterns: str | list[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in listed(patterns))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- a deployment


@dataclass
class Stack:
    """The template, deployed."""

    s3: S3Server
    outputs: dict[str, str]

    @property
    def bucket(self) -> str:
        return self.outputs["LakeBucket"]

    def loader_policy(self) -> Policy:
        arn = self.outputs["LoaderPolicyArn"]
        version = self.s3.client("iam").get_policy_version(PolicyArn=arn, VersionId="v1")
        return plain(version["PolicyVersion"]["Document"])

    def snowflake_role(self) -> str:
        return self.outputs["SnowflakeRoleArn"].rpartition("/")[2]

    def trust(self) -> Policy:
        return plain(self.s3.client("iam").get_role(RoleName=self.snowflake_role())["Role"]["AssumeRolePolicyDocument"])

    def snowflake_policy(self) -> Policy:
        iam, role = self.s3.client("iam"), self.snowflake_role()
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
        return plain(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])

    def file(self, path: str) -> str:
        """A file's ARN."""
        return f"arn:aws:s3:::{self.bucket}/{path}"


def plain(document: Any) -> Policy:
    """A policy as a dictionary; moto gives some as their text."""
    if isinstance(document, str):
        document = json.loads(document.replace("'", '"'))
    return dict(document)


@pytest.fixture(scope="module")
def deploy(s3_server: S3Server) -> Callable[..., Stack]:
    """Deploys the template as a stack of its own, with parameters."""

    def deployed(prefix: str = "amplitude/", **parameters: str) -> Stack:
        number = next(_NUMBERS)
        parameters |= {"BucketName": f"the-lake-{number}", "Prefix": prefix}
        formation = s3_server.client("cloudformation")
        formation.create_stack(
            StackName=f"amplitude-{number}",
            TemplateBody=TEMPLATE.read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        (stack,) = formation.describe_stacks(StackName=f"amplitude-{number}")["Stacks"]
        return Stack(s3_server, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]})

    return deployed


@pytest.fixture(scope="module")
def stack(deploy: Callable[..., Stack]) -> Stack:
    """For tests that only look, or try what they may not."""
    return deploy()


@pytest.fixture
def own_stack(s3: S3Server, deploy: Callable[..., Stack]) -> Stack:
    """For tests that load."""
    return replace(deploy(), s3=s3)


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """The template as it stands, with its functions."""
    return dict(cfn_yaml.loads(TEMPLATE.read_text()))


# --- the template


def test_cfn_lint_finds_neither_errors_nor_warnings() -> None:
    found = [match for match in lint_all(TEMPLATE.read_text()) if not match.rule.id.startswith("I")]
    assert [str(match) for match in found] == []


def test_the_outputs_are_those_that_the_handshake_and_the_settings_take(stack: Stack) -> None:
    account = "arn:aws:iam::123456789012"
    assert stack.outputs["LakeUrl"] == f"s3://{stack.bucket}/amplitude/"
    assert stack.outputs["ExportUrl"] == f"s3://{stack.bucket}/amplitude/export"
    assert stack.outputs["StagingUrl"] == f"s3://{stack.bucket}/amplitude/staging/"
    assert stack.outputs["LoaderPolicyArn"].startswith(f"{account}:policy/")
    assert stack.outputs["SnowflakeRoleArn"].startswith(f"{account}:role/")


def test_the_bucket_keeps_versions_is_encrypted_private_and_outlives_its_stack(template: dict[str, Any]) -> None:
    bucket = template["Resources"]["Bucket"]
    properties = bucket["Properties"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_what_is_written_without_a_word_on_encryption_is_encrypted(stack: Stack) -> None:
    client = stack.s3.client("s3")
    client.put_object(Bucket=stack.bucket, Key="file", Body=b"text")
    assert client.head_object(Bucket=stack.bucket, Key="file")["ServerSideEncryption"] == "AES256"


def test_uploads_staging_and_versions_expire_and_the_archive_does_not(
    template: dict[str, Any],
) -> None:
    rules = template["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    by_id = {rule.pop("Id"): rule for rule in copy.deepcopy(rules)}
    assert {rule.pop("Status") for rule in by_id.values()} == {"Enabled"}
    assert by_id == {
        "abort-unfinished-uploads": {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        "expire-staging": {
            "Prefix": {"Fn::Sub": "${Prefix}staging/"},
            "ExpirationInDays": 7,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
        "expire-earlier-versions-of-the-archive": {
            "Prefix": {"Fn::Sub": "${Prefix}raw/"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 365},
            "ExpiredObjectDeleteMarker": True,
        },
        "expire-earlier-versions-of-amplitudes-export": {
            "Prefix": {"Fn::Sub": "${Prefix}export/"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 365},
            "ExpiredObjectDeleteMarker": True,
        },
        "expire-earlier-versions-of-bronze": {
            "Prefix": {"Fn::Sub": "${Prefix}bronze/"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
            "ExpiredObjectDeleteMarker": True,
        },
    }


def test_nobody_may_ask_over_a_connection_without_tls_1_2(template: dict[str, Any]) -> None:
    policy = template["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
    statements = [statement for statement in policy["Statement"] if "Fn::If" not in statement]
    for statement in statements:
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Resource"] == [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}]
    assert [statement["Condition"] for statement in statements] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]


def test_amplitude_may_write_its_export_and_nothing_else_and_only_if_its_role_is_given(
    template: dict[str, Any],
) -> None:
    policy = template["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
    conditional = [statement["Fn::If"] for statement in policy["Statement"] if "Fn::If" in statement]
    assert [(name, other) for name, _, other in conditional] == [("HasAmplitudeRole", {"Ref": "AWS::NoValue"})] * 2
    assert [(s["Principal"], s["Action"], s["Resource"]) for _, s, _ in conditional] == [
        (
            {"AWS": {"Ref": "AmplitudeRoleArn"}},
            ["s3:PutObject", "s3:GetObject"],
            {"Fn::Sub": "${Bucket.Arn}/${Prefix}export/*"},
        ),
        (
            {"AWS": {"Ref": "AmplitudeRoleArn"}},
            ["s3:ListBucket", "s3:GetBucketLocation"],
            {"Fn::GetAtt": ["Bucket", "Arn"]},
        ),
    ]


def test_no_statement_allows_anything_to_everybody_or_on_everything(deploy: Callable[..., Stack]) -> None:
    stack = deploy(SnowflakeUserArn="arn:aws:iam::111122223333:user/abc", SnowflakeExternalId=EXTERNAL_ID)
    policies = [stack.loader_policy(), stack.snowflake_policy(), stack.trust()]
    for statement in (s for policy in policies for s in policy["Statement"] if s["Effect"] == "Allow"):
        assert not statement.keys() & {"NotAction", "NotResource", "NotPrincipal"}
        assert [right for right in listed(statement["Action"]) if "*" in right] == []
        assert all(arn.startswith(f"arn:aws:s3:::{stack.bucket}") for arn in listed(statement.get("Resource", [])))
        assert "*" not in json.dumps(statement.get("Principal", {}))


# --- the loader


def keys_with(s3: S3Server, policy: Policy) -> dict[str, str]:
    """The keys of a new user who has a policy, but for the conditions in it, and nothing else."""
    s3.check_rights(float("inf"))
    iam, user = s3.client("iam"), f"user-{next(_NUMBERS)}"
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=without_conditions(policy))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def without_conditions(policy: Policy) -> str:
    """A policy's text as moto understands it: a condition that it does not know refuses everything."""
    return json.dumps({**policy, "Statement": [{**s, "Condition": {}} for s in policy["Statement"]]})


def let_load(project: Project, stack: Stack, policy: Policy) -> None:
    """The project's lake is the stack's bucket, and its user has the policy."""
    project.env |= stack.s3.env(stack.bucket, **keys_with(stack.s3, policy))
    project.env["SOURCES__AMPLITUDE__LAKE__BUCKET_URL"] = stack.outputs["LakeUrl"]
    stack.s3.check_rights(0)


KEPT, GONE = next(two for two in pairwise(MEMBERS) if two[0].hour == two[1].hour)
ONE_HOUR = ("--start", hour_text(KEPT.hour), "--end", hour_text(KEPT.hour))


@pytest.mark.parametrize("destination", ["duckdb", "filesystem"])
def test_the_loaders_policy_suffices_to_load_to_load_again_and_to_replay(
    own_stack: Stack, project: Project, simulator: Simulator, tmp_path: Path, destination: str
) -> None:
    policy = own_stack.loader_policy()
    let_load(project, own_stack, policy)
    refused = refuse_what_is_not_allowed(own_stack.s3, policy)
    succeeded(project.load_here(*ONE_HOUR, "--destination", destination))
    simulator.archive = Exports([KEPT])
    succeeded(project.load_here(*ONE_HOUR, "--destination", destination))
    assert "no complete gzip file" in sentence(replay_broken(project, tmp_path, "--destination", destination))
    succeeded(project.load_here("--replay", "--destination", destination))
    assert {"DeleteObject", "AbortMultipartUpload", "ListObjectsV2"} <= {asked.call for asked in own_stack.s3.asked}
    assert [asked for asked in refused if asked.call != "HeadBucket"] == []


def test_the_loaders_policy_suffices_to_settle_a_change_to_remove_old_files_and_to_erase(
    own_stack: Stack, project: Project, simulator: Simulator
) -> None:
    policy = own_stack.loader_policy()
    let_load(project, own_stack, policy)
    project.env |= {
        "SOURCES__AMPLITUDE__START_HOUR": hour_text(KEPT.hour),
        "SOURCES__AMPLITUDE__LAKE__RETENTION_DAYS": "1",
        "SOURCES__AMPLITUDE__PRIVACY__HASH_KEY": "a-secret-that-nobody-may-see",
    }
    project.set_clock(KEPT.hour + 26 * HOUR, simulator)
    refused = refuse_what_is_not_allowed(own_stack.s3, policy)
    succeeded(project.load_here(*ONE_HOUR))
    simulator.archive = Exports([KEPT])
    for arguments in (ONE_HOUR, (), ("archive", "prune")):
        succeeded(project.load_here(*arguments))
    ((person,),) = project.query("SELECT MIN(amplitude_id) FROM bronze.events WHERE _export_hour = ?", [KEPT.hour])
    succeeded(project.load_here("erase", "--amplitude-id", str(person)))
    removed = {asked.key.rpartition("/")[2] for asked in own_stack.s3.asked if asked.call == "DeleteObject"}
    assert {GONE.file_name, KEPT.file_name, hour_text(KEPT.hour), "unfinished.json"} <= removed
    assert [asked for asked in refused if asked.call != "HeadBucket"] == []


def test_a_project_gets_its_new_name_and_an_administrator_removes_the_old_folder(
    own_stack: Stack, project: Project
) -> None:
    let_load(project, own_stack, own_stack.loader_policy())
    succeeded(project.load_here(*ONE_HOUR))
    for key in ("API_KEY", "SECRET_KEY"):
        project.env[f"SOURCES__AMPLITUDE__PROJECTS__WEB__{key}"] = project.env.pop(f"SOURCES__AMPLITUDE__{key}")
    result = project.load_here("rename-project", "default", "web")
    assert "remove raw/project=default/ from the lake with the rights of an administrator" in sentence(result)
    assert "Project default is web now" in result.stdout
    assert project.query("SELECT DISTINCT project FROM bronze.export_hours") == [("web",)]
    succeeded(project.load_here("archive", "verify"))
    own_stack.s3.check_rights(float("inf"))
    left = own_stack.s3.client("s3").list_objects_v2(Bucket=own_stack.bucket, Prefix="amplitude/raw/project=default/")
    assert {KEPT.file_name} < {each["Key"].rpartition("/")[2] for each in left["Contents"]}, "it is whole"


def test_the_loaders_policy_suffices_for_snowflake_and_each_right_is_used(
    own_stack: Stack, snowflake_project: SnowflakeProject
) -> None:
    policy = own_stack.loader_policy()
    snowflake_project.env["SOURCES__AMPLITUDE__LAKE__BUCKET_URL"] = own_stack.outputs["LakeUrl"]
    snowflake_project.query(f"CREATE OR REPLACE STAGE {STAGE} URL = '{own_stack.outputs['StagingUrl']}'")
    refused = refuse_what_is_not_allowed(own_stack.s3, policy)
    for _ in range(2):  # the second load removes what the first one staged
        succeeded(snowflake_project.load_here(*ONE_HOUR))
    assert [asked for asked in refused if asked.call != "HeadBucket"] == []
    staged = [asked for asked in own_stack.s3.asked if asked.key.startswith("amplitude/staging/")]
    used = {right_of(asked) for asked in staged if asked.access_key != S3_ACCESS_KEY}
    granted = rights_to(policy, own_stack.file("amplitude/staging/file"))
    assert granted - used == {"s3:AbortMultipartUpload"}, "only for a large file that fails half-way"


def test_the_loaders_policy_suffices_for_what_amplitude_exports_to_the_same_bucket(
    own_stack: Stack, project: Project
) -> None:
    policy = own_stack.loader_policy()
    for name, data in bucket_files(SMALL_PRODUCT.app, MEMBERS, KEPT.hour, KEPT.hour):
        own_stack.s3.client("s3").put_object(Bucket=own_stack.bucket, Key=f"amplitude/export/{name}", Body=data)
    let_load(project, own_stack, policy)
    project.env["SOURCES__AMPLITUDE__EXPORT_BUCKET_URL"] = own_stack.outputs["ExportUrl"]
    refused = refuse_what_is_not_allowed(own_stack.s3, policy)
    succeeded(project.load_here(*ONE_HOUR))
    assert project.query("SELECT COUNT(*) FROM bronze.events") == [
        (sum(member.rows for member in MEMBERS if member.hour == KEPT.hour),)
    ]
    assert [asked for asked in refused if asked.call != "HeadBucket"] == []


def refuse_what_is_not_allowed(s3: S3Server, policy: Policy) -> list[Asked]:
    """Has S3 refuse a loader what the policy, conditions included, does not allow; gives a list of what it refused.

    A HEAD of the bucket is to be among it, for the loader may not list all of it; dlt then asks where the bucket lies.
    """
    refused: list[Asked] = []

    def judge(asked: Asked, _body: bytes) -> Refusal | None:
        if asked.access_key == S3_ACCESS_KEY or is_allowed(policy, asked):
            return None
        refused.append(asked)
        return Refusal(403, "AccessDenied")

    s3.asked.clear()
    s3.fault = judge
    return refused


def replay_broken(project: Project, folder: Path, *options: str) -> Result:
    """Loads a folder with a file that is cut off."""
    exports = folder / "exports"
    exports.mkdir()
    (exports / KEPT.file_name).write_bytes(KEPT.data[:-3])
    return project.load_here("--replay", str(exports), *options)


RIGHTS = {
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
}
"""Of calls that are not named like the right that they need."""


def is_allowed(policy: Policy, asked: Asked) -> bool:
    """Whether a policy allows what was asked, conditions included.

    Of a file S3 tells that it is missing, and does not refuse, only if one may also list what begins with its key.
    """
    bucket = f"arn:aws:s3:::{asked.bucket}"
    may_list = allows(policy, "s3:ListBucket", bucket, prefix=asked.key)
    match asked.call:
        case "ListObjectsV2" | "HeadBucket":
            return may_list
        case "GetBucketLocation":
            return allows(policy, right_of(asked), bucket)
        case "GetObject" | "HeadObject":
            return may_list and allows(policy, right_of(asked), f"{bucket}/{asked.key}")
        case _:
            return allows(policy, right_of(asked), f"{bucket}/{asked.key}")


def right_of(asked: Asked) -> str:
    return RIGHTS.get(asked.call, f"s3:{asked.call}")


def rights_to(policy: Policy, file: str) -> set[str]:
    """What a policy allows to be done to a file, or to all of a folder's."""
    rights = {right for statement in policy["Statement"] for right in listed(statement["Action"])}
    return {right for right in rights if allows(policy, right, file)}


def without(policy: Policy, right: str) -> Policy:
    """The policy, but for one right."""
    statements = [{**s, "Action": [each for each in listed(s["Action"]) if each != right]} for s in policy["Statement"]]
    return {**policy, "Statement": [s for s in statements if s["Action"]]}


@pytest.mark.parametrize(
    ("right", "where"),
    [
        ("s3:ListBucket", "amplitude/raw/project=default/erased/"),
        ("s3:GetObject", "amplitude/raw/project=default/erased"),
        ("s3:PutObject", f"amplitude/raw/project=default/app={SMALL_PRODUCT.app}/"),
        ("s3:DeleteObject", f"/{GONE.file_name}"),
    ],
)
def test_a_right_that_the_loader_lacks_is_named_and_the_next_run_goes_on(
    own_stack: Stack, project: Project, simulator: Simulator, right: str, where: str
) -> None:
    policy = own_stack.loader_policy()
    if right == "s3:DeleteObject":
        let_load(project, own_stack, policy)
        succeeded(project.load_here(*ONE_HOUR))
        simulator.archive = Exports([KEPT])
    let_load(project, own_stack, without(policy, right))
    message = sentence(project.load_here(*ONE_HOUR))
    assert f"AWS refuses {right} on s3://{own_stack.bucket}/amplitude/raw/" in message
    assert where in message
    let_load(project, own_stack, policy)
    succeeded(project.load_here(*ONE_HOUR))


def test_without_the_right_to_abort_uploads_the_fault_itself_is_still_what_is_told(
    own_stack: Stack, project: Project, tmp_path: Path
) -> None:
    let_load(project, own_stack, without(own_stack.loader_policy(), "s3:AbortMultipartUpload"))
    assert "no complete gzip file" in sentence(replay_broken(project, tmp_path))


def test_a_bucket_that_dlt_may_not_see_is_not_made_anew(own_stack: Stack, project: Project) -> None:
    let_load(project, own_stack, without(own_stack.loader_policy(), "s3:GetBucketLocation"))
    message = sentence(project.load_here(*ONE_HOUR, "--destination", "filesystem"))
    assert "s3:GetBucketLocation" in message
    assert "CreateBucket" not in {asked.call for asked in own_stack.s3.asked}


Act: TypeAlias = Callable[[Any, str, str], object]
"""With a client of S3, the bucket, and the version of a file that it has at `amplitude/raw/file`."""

FORBIDDEN_TO_LOADERS: dict[str, Act] = {
    "delete the bucket": lambda s3, bucket, _: s3.delete_bucket(Bucket=bucket),
    "write its policy": lambda s3, bucket, _: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
    "delete its policy": lambda s3, bucket, _: s3.delete_bucket_policy(Bucket=bucket),
    "delete what keeps it private": lambda s3, bucket, _: s3.delete_public_access_block(Bucket=bucket),
    "change its encryption": lambda s3, bucket, _: s3.delete_bucket_encryption(Bucket=bucket),
    "end the keeping of versions": lambda s3, bucket, _: s3.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
    ),
    "delete the lifecycle rules": lambda s3, bucket, _: s3.delete_bucket_lifecycle(Bucket=bucket),
    "list versions": lambda s3, bucket, _: s3.list_object_versions(Bucket=bucket),
    "delete a version for good": lambda s3, bucket, version: s3.delete_object(
        Bucket=bucket, Key="amplitude/raw/file", VersionId=version
    ),
    "open a file to others": lambda s3, bucket, _: s3.put_object_acl(
        Bucket=bucket, Key="amplitude/raw/file", ACL="public-read"
    ),
    "write beside the lake": lambda s3, bucket, _: s3.put_object(Bucket=bucket, Key="amplitude/other", Body=b""),
    "write above the lake": lambda s3, bucket, _: s3.put_object(Bucket=bucket, Key="raw/file", Body=b""),
    "read beside the lake": lambda s3, bucket, _: s3.get_object(Bucket=bucket, Key="other"),
    "delete beside the lake": lambda s3, bucket, _: s3.delete_object(Bucket=bucket, Key="other"),
    "list all buckets": lambda s3, _bucket, _: s3.list_buckets(),
    "make a bucket": lambda s3, bucket, _: s3.create_bucket(
        Bucket=f"{bucket}-2", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    ),
}


def put_files(stack: Stack) -> str:
    """In the lake and beside it; gives the version of that in the archive."""
    client = stack.s3.client("s3")
    client.put_bucket_versioning(Bucket=stack.bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("other", "amplitude/staging/file", "amplitude/bronze/file"):
        client.put_object(Bucket=stack.bucket, Key=key, Body=key.encode())
    return str(client.put_object(Bucket=stack.bucket, Key="amplitude/raw/file", Body=b"")["VersionId"])


@pytest.mark.parametrize("act", FORBIDDEN_TO_LOADERS.values(), ids=FORBIDDEN_TO_LOADERS.keys())
@pytest.mark.usefixtures("s3")
def test_the_loader_writes_to_the_archive_and_may_not(stack: Stack, act: Act) -> None:
    keys, version = keys_with(stack.s3, stack.loader_policy()), put_files(stack)
    stack.s3.check_rights(0)
    client = stack.s3.client("s3", **keys)
    client.put_object(Bucket=stack.bucket, Key="amplitude/raw/new", Body=b"")
    assert_refused(lambda: act(client, stack.bucket, version))


def test_the_loader_lists_the_lake_and_nothing_beside_it(stack: Stack) -> None:
    policy, bucket = stack.loader_policy(), f"arn:aws:s3:::{stack.bucket}"
    for prefix in ("amplitude/raw/", "amplitude/staging/x", "amplitude/bronze/events/"):
        assert allows(policy, "s3:ListBucket", bucket, prefix=prefix)
    for prefix in ("", "amplitude/", "raw/", "other"):
        assert not allows(policy, "s3:ListBucket", bucket, prefix=prefix)


def test_the_loader_removes_members_and_neither_manifests_nor_versions(stack: Stack) -> None:
    """It must remove members that an hour no longer has: `Archive.store_hour`."""
    policy, raw = stack.loader_policy(), "amplitude/raw/project=default"
    assert "s3:DeleteObject" in rights_to(policy, stack.file(f"{raw}/app=1/date=2026-06-01/hour=00/x.json.gz"))
    kept = rights_to(policy, stack.file(f"{raw}/hours/date=2026-06-01/hour=00.json"))
    assert kept == {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
    rights = {right for statement in policy["Statement"] for right in listed(statement["Action"])}
    assert [right for right in rights if "Version" in right or "Lifecycle" in right] == []


def test_the_loader_has_no_rights_but_those_of_s3(stack: Stack) -> None:
    rights = [right for statement in stack.loader_policy()["Statement"] for right in listed(statement["Action"])]
    assert {right.partition(":")[0] for right in rights} == {"s3"}


def test_a_lake_without_a_prefix_is_a_whole_bucket(deploy: Callable[..., Stack]) -> None:
    stack = deploy(prefix="")
    assert stack.outputs["LakeUrl"] == f"s3://{stack.bucket}/"
    assert allows(stack.loader_policy(), "s3:PutObject", stack.file("raw/file"))
    assert not allows(stack.snowflake_policy(), "s3:GetObject", stack.file("raw/file"))
    assert allows(stack.snowflake_policy(), "s3:GetObject", stack.file("staging/file"))


# --- Snowflake's role


ANY_ROLE: Policy = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
}


def take_role(stack: Stack, keys: dict[str, str], external_id: str) -> dict[str, str]:
    """The keys of a session in Snowflake's role."""
    role = stack.outputs["SnowflakeRoleArn"]
    sts = stack.s3.client("sts", **keys)
    session = sts.assume_role(RoleArn=role, RoleSessionName="copy", ExternalId=external_id)["Credentials"]
    return {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }


def assert_refused(act: Callable[[], object]) -> None:
    with pytest.raises(ClientError) as caught:
        act()
    assert caught.value.response["Error"]["Code"] in ("AccessDenied", "403"), caught.value


@pytest.mark.usefixtures("s3")
def test_before_snowflakes_user_is_known_nobody_can_take_its_role(stack: Stack) -> None:
    assert {statement["Effect"] for statement in stack.trust()["Statement"]} == {"Deny"}
    keys = keys_with(stack.s3, ANY_ROLE)
    stack.s3.check_rights(0)
    assert_refused(lambda: take_role(stack, keys, EXTERNAL_ID))


@pytest.fixture(scope="module")
def snowflake(s3_server: S3Server, deploy: Callable[..., Stack]) -> tuple[Stack, dict[str, str]]:
    """The stack that knows Snowflake's user, and that user's keys."""
    keys = keys_with(s3_server, ANY_ROLE)
    arn = s3_server.client("sts", **keys).get_caller_identity()["Arn"]
    stack = deploy(SnowflakeUserArn=arn, SnowflakeExternalId=EXTERNAL_ID)
    s3_server.client("iam").put_role_policy(  # moto cannot read what it deployed there itself
        RoleName=stack.snowflake_role(),
        PolicyName="ReadStaging",
        PolicyDocument=without_conditions(stack.snowflake_policy()),
    )
    return stack, keys


@pytest.mark.usefixtures("s3")
def test_only_snowflakes_user_with_its_external_id_can_take_its_role(snowflake: tuple[Stack, dict[str, str]]) -> None:
    stack, keys = snowflake
    others_keys = keys_with(stack.s3, ANY_ROLE)
    stack.s3.check_rights(0)
    assert take_role(stack, keys, EXTERNAL_ID)
    assert_refused(lambda: take_role(stack, keys, "another"))
    assert_refused(lambda: take_role(stack, others_keys, EXTERNAL_ID))


FORBIDDEN_TO_SNOWFLAKE: dict[str, Act] = {
    "read the archive": lambda s3, bucket, _: s3.get_object(Bucket=bucket, Key="amplitude/raw/file"),
    "read bronze": lambda s3, bucket, _: s3.get_object(Bucket=bucket, Key="amplitude/bronze/file"),
    "read beside the lake": lambda s3, bucket, _: s3.get_object(Bucket=bucket, Key="other"),
    "read a version of the archive": lambda s3, bucket, version: s3.get_object(
        Bucket=bucket, Key="amplitude/raw/file", VersionId=version
    ),
    "write to staging": lambda s3, bucket, _: s3.put_object(Bucket=bucket, Key="amplitude/staging/new", Body=b""),
    "write to the archive": lambda s3, bucket, _: s3.put_object(Bucket=bucket, Key="amplitude/raw/new", Body=b""),
    "delete from staging": lambda s3, bucket, _: s3.delete_object(Bucket=bucket, Key="amplitude/staging/file"),
    "delete the bucket": lambda s3, bucket, _: s3.delete_bucket(Bucket=bucket),
    "write its policy": lambda s3, bucket, _: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
}


@pytest.mark.parametrize("act", FORBIDDEN_TO_SNOWFLAKE.values(), ids=FORBIDDEN_TO_SNOWFLAKE.keys())
@pytest.mark.usefixtures("s3")
def test_snowflake_reads_what_is_staged_and_may_not(snowflake: tuple[Stack, dict[str, str]], act: Act) -> None:
    stack, keys = snowflake
    version = put_files(stack)
    stack.s3.check_rights(0)
    session = stack.s3.client("s3", **take_role(stack, keys, EXTERNAL_ID))
    staged = session.get_object(Bucket=stack.bucket, Key="amplitude/staging/file")
    assert staged["Body"].read() == b"amplitude/staging/file"
    assert_refused(lambda: act(session, stack.bucket, version))


def test_snowflake_lists_what_is_staged_and_nothing_else(stack: Stack) -> None:
    policy, bucket = stack.snowflake_policy(), f"arn:aws:s3:::{stack.bucket}"
    assert allows(policy, "s3:ListBucket", bucket, prefix="amplitude/staging/")
    assert allows(policy, "s3:GetBucketLocation", bucket)
    assert allows(policy, "s3:GetObjectVersion", stack.file("amplitude/staging/file"))
    for prefix in ("", "amplitude/", "amplitude/raw/", "amplitude/bronze/", "staging/"):
        assert not allows(policy, "s3:ListBucket", bucket, prefix=prefix)


# --- the judge


STATEMENT = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:b/x/*"}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([STATEMENT], True),
        ([{**STATEMENT, "Action": "s3:PutObject"}], False),
        ([{**STATEMENT, "Resource": ["arn:b/y/*"]}], False),
        ([STATEMENT, {**STATEMENT, "Effect": "Deny", "Resource": "*"}], False),
        ([{**STATEMENT, "Condition": {"StringLike": {"s3:prefix": ["raw/*"]}}}], True),
        ([{**STATEMENT, "Condition": {"StringLike": {"s3:prefix": "staging/*"}}}], False),
        ([], False),
    ],
)
def test_rights_are_judged_by_the_rules_of_iam(statements: list[Policy], expected: bool) -> None:
    assert allows({"Statement": statements}, "s3:GetObject", "arn:b/x/file", prefix="raw/file") == expected
