"""What fakesnow 0.12.1 does not do as Snowflake does, as far as dlt and SQLMesh ask for it.

Each fix stands for a failure that was seen without it. They replace functions of fakesnow, so that its version is
pinned; none of them looks at what the project's own statements are about.
"""

import re
from collections.abc import Callable
from string import Template
from typing import Any, NamedTuple

import duckdb
import fakesnow.cursor
import pyarrow as pa
import snowflake.connector.errors
from fakesnow import arrow, info_schema
from fakesnow.transforms import stage
from fakesnow.transforms.stage import complete_stage_lookup, stage_lookup_sql
from sqlglot import exp, parse_one
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.tokens import TokenType

Bindings = dict[str, dict[str, Any]]

# Statements that mean nothing to DuckDB, and to no test but by having been sent.
WITHOUT_EFFECT = [r"(/\*.*?\*/\s*)?(GRANT|REVOKE|USE WAREHOUSE)\b", r"ALTER SESSION (SET|UNSET) (QUERY_TAG|TIMEZONE)\b"]
# Text that fakesnow cannot digest, and an equivalent that it can.
REWRITTEN = [
    # DuckDB has no temporary tables with a schema; SQLMesh drops those that it makes.
    (r"^((?:/\*.*?\*/\s*)?CREATE )TEMPORARY (TABLE IF NOT EXISTS)", r"\1\2"),
    (r"FILE_FORMAT\s*=\s*\(\s*TYPE\s*=\s*'?PARQUET'?[^)]*\)", "FILE_FORMAT=(TYPE=PARQUET)"),
    (r"MATCH_BY_COLUMN_NAME\s*=\s*'(\w+)'", r"MATCH_BY_COLUMN_NAME=\1"),
    (r"ON_ERROR=\?", "ON_ERROR=ABORT_STATEMENT"),
    (r"FROM '(@[^']+)'\)", r"FROM \1)"),
    (
        r"^DESC STAGE (?:\w+\.)?(\w+)\.(\w+)$",
        r"""SELECT 'STAGE_LOCATION' AS "parent_property", 'URL' AS "property", 'String' AS "property_type",
        '["' || url || '"]' AS "property_value" FROM _fs_global._fs_information_schema._fs_stages
        WHERE database_name = CURRENT_DATABASE() AND schema_name = '\1' AND name = '\2'""",
    ),
]
# What infra/snowflake/setup.sql grants to the roles of loads and of SQLMesh, in the form of SHOW GRANTS.
GRANTS = """
    SELECT CURRENT_TIMESTAMP AS "created_on", column1 AS "privilege", column2 AS "granted_on", column3 AS "name"
    FROM VALUES ('USAGE', 'WAREHOUSE', 'AMPLITUDE_WH'), ('USAGE', 'DATABASE', CURRENT_DATABASE()),
        ('USAGE', 'SCHEMA', CURRENT_DATABASE() || '.BRONZE'),
        ('CREATE TABLE', 'SCHEMA', CURRENT_DATABASE() || '.BRONZE'),
        ('USAGE', 'SCHEMA', CURRENT_DATABASE() || '.BRONZE_STAGING'),
        ('CREATE TABLE', 'SCHEMA', CURRENT_DATABASE() || '.BRONZE_STAGING'),
        ('USAGE', 'SCHEMA', CURRENT_DATABASE() || '.GOLD'),
        ('USAGE', 'STAGE', CURRENT_DATABASE() || '.BRONZE.LAKE_STAGING'),
        ('SELECT', 'TABLE', CURRENT_DATABASE() || '.BRONZE.EXPORT_HOURS'),
        ('CREATE SCHEMA', 'DATABASE', CURRENT_DATABASE()),
        ('USAGE', 'SCHEMA', CURRENT_DATABASE() || '.SILVER'),
        ('CREATE VIEW', 'SCHEMA', CURRENT_DATABASE() || '.SILVER'),
        ('CREATE VIEW', 'SCHEMA', CURRENT_DATABASE() || '.GOLD'),
        ('USAGE', 'SCHEMA', CURRENT_DATABASE() || '.SILVER_TABLES'),
        ('CREATE TABLE', 'SCHEMA', CURRENT_DATABASE() || '.SILVER_TABLES'),
        ('CREATE VIEW', 'SCHEMA', CURRENT_DATABASE() || '.SILVER_TABLES'),
        ('USAGE', 'SCHEMA', CURRENT_DATABASE() || '.GOLD_TABLES'),
        ('CREATE TABLE', 'SCHEMA', CURRENT_DATABASE() || '.GOLD_TABLES'),
        ('CREATE VIEW', 'SCHEMA', CURRENT_DATABASE() || '.GOLD_TABLES')
"""
# Texts and comments, in which Snowflake looks for no session variables, as in '$revenue'.
TEXTS = re.compile(r"'(?:[^'\\]|\\.|'')*'|/\*.*?\*/", re.DOTALL)
COLUMN_COMMENTS = re.compile(r"(?:/\*.*?\*/\s*)?ALTER (?:TABLE|VIEW) (\S+) ALTER COLUMN \S+ COMMENT ", re.DOTALL)
COLUMN_COMMENT = re.compile(r"""COLUMN ("[^"]+") COMMENT ('(?:[^'\\]|\\.|'')*')""", re.DOTALL)
PARQUET_TYPES = {"VARCHAR": "TEXT", "BIGINT": "NUMBER(38,0)", "DOUBLE": "REAL"}
ACCOUNT_ZONE = "America/Los_Angeles"  # of a session that names none

MADE_DYNAMIC = re.compile(r' DYNAMIC (TABLE (\S+)) .*? TARGET_LAG=.*? WAREHOUSE="\w+" AS (?=WITH|SELECT)', re.DOTALL)
REFRESHED = re.compile(r"(?:/\*.*?\*/\s*)?ALTER DYNAMIC TABLE (\S+) REFRESH")
DYNAMIC_TABLES: dict[str, str] = {}
"""By name, the statement that makes a dynamic table as an ordinary one, which refreshes it, too."""

STORAGE_TABLE = "_fs_global._fs_information_schema._fs_storage"
CREATE_STORAGE_TABLE = f"""create table if not exists {STORAGE_TABLE} (
    catalog varchar, schema varchar, name varchar, transient varchar, clustering_key varchar,
    primary key (catalog, schema, name)
)"""


class Session(NamedTuple):
    """What a client has signed in with; fakesnow answers every one alike."""

    role: str
    zone: str


def split(sql: str) -> list[str]:
    """The statements of a text, each as it was sent."""
    parts, start = [], 0
    for token in Snowflake().tokenize(sql):
        if token.token_type == TokenType.SEMICOLON:
            parts.append(sql[start : token.start])
            start = token.end + 1
    return [part.strip() for part in [*parts, sql[start:]] if part.strip()] or [sql]


def column_comments(sql: str) -> list[str]:
    """DuckDB's statements for one that comments several columns; none for any other."""
    if not (table := COLUMN_COMMENTS.match(sql)):
        return []
    comments = [f"COMMENT ON COLUMN {table[1]}.{column} IS {text}" for column, text in COLUMN_COMMENT.findall(sql)]
    return [parse_one(comment, dialect="snowflake").sql(dialect="duckdb") for comment in comments]


def comments_within(create: exp.Expr) -> list[str]:
    """DuckDB's statements for the comments of columns that a table or view is created with."""
    if not isinstance(create, exp.Create) or not isinstance(create.this, exp.Schema):
        return []
    table, columns = create.this.this.sql("duckdb"), create.this.expressions
    comments = {column.this.sql("duckdb"): column.find(exp.CommentColumnConstraint) for column in columns}
    return [f"COMMENT ON COLUMN {table}.{name} IS {text.this.sql('duckdb')}" for name, text in comments.items() if text]


def ordinary(sql: str) -> str:
    """The statement for an ordinary table instead of a dynamic one, which nothing refreshes here unless asked to."""
    if made := MADE_DYNAMIC.search(sql):
        DYNAMIC_TABLES[made[2]] = sql = MADE_DYNAMIC.sub(r" \1 AS ", sql)
    if refreshed := REFRESHED.fullmatch(sql):
        return DYNAMIC_TABLES[refreshed[1]]
    return sql.replace("DROP DYNAMIC TABLE", "DROP TABLE")


def digestible(
    sql: str, bindings: Bindings, session: Session, columns_of: Callable[[str], list[tuple[str, str]]]
) -> tuple[str, Bindings]:
    """A statement with its bindings as fakesnow can take them.

    `columns_of` gives the names and DuckDB's types of the columns of Parquet files, for INFER_SCHEMA.
    """
    sql = ordinary(sql)
    asked = [
        (r"^SELECT CURRENT_ROLE\(\)$", f"SELECT '{session.role}'"),
        (r"^(?:/\*.*?\*/\s*)?SELECT CURRENT_WAREHOUSE\(\)$", "SELECT 'AMPLITUDE_WH'"),
        (
            r"^SHOW PARAMETERS LIKE 'TIMEZONE' IN SESSION$",
            f"SELECT 'TIMEZONE' AS \"key\", '{session.zone}' AS \"value\"",
        ),
        (r"^SHOW GRANTS TO ROLE \w+$", GRANTS),
    ]
    if "infer_schema(" in sql.lower():
        folder = stage.internal_dir(bindings["1"]["value"].lstrip("@").replace('"', ""))
        rows = (f"('{name}', '{PARQUET_TYPES.get(type_, type_)}')" for name, type_ in columns_of(f"{folder}/*"))
        return f"SELECT column1 AS column_name, column2 AS type FROM VALUES {', '.join(rows)}", {}
    while re.search(r"identifier\(\?\)", sql, re.IGNORECASE):
        name = bindings["1"]["value"]
        sql = re.sub(r"identifier\(\?\)", lambda _, name=name: name, sql, count=1, flags=re.IGNORECASE)
        bindings = {str(int(number) - 1): value for number, value in bindings.items() if number != "1"}
    if re.search(r"ON_ERROR=\?", sql):
        bindings = {}
    for pattern, replacement in [*asked, *REWRITTEN]:
        sql = re.sub(pattern, replacement, sql, flags=re.IGNORECASE | re.DOTALL)
    return sql, bindings


def plain_key(key: exp.Expr) -> exp.Expr:
    """A key that DuckDB would take for a path, such as $revenue, as a pointer to it."""
    if not key.is_string or not key.name.startswith(("$", "/")):
        return key
    return exp.Literal.string("/" + key.name.replace("~", "~0").replace("/", "~1"))


def variants(node: exp.Expr) -> exp.Expr:
    """PARSE_JSON of a VARIANT with a text parses it; a VARIANT knows its type; as a text, a text has no quotes."""
    if isinstance(node, exp.ParseJSON):
        text = exp.Anonymous(
            this="json_extract_string",
            expressions=[exp.Anonymous(this="to_json", expressions=[node.this]), exp.Literal.string("$")],
        )
        return (exp.TryCast if node.args.get("safe") else exp.Cast)(this=text, to=exp.DataType.build("JSON"))
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.GetExtract) and node.is_type("VARCHAR"):
        inner = node.this.this.transform(variants), node.this.expression.transform(variants)  # nobody else visits them
        return exp.JSONExtractScalar(this=inner[0], expression=plain_key(inner[1]))
    if isinstance(node, exp.Typeof):
        return exp.Anonymous(this="json_type", expressions=[exp.Anonymous(this="to_json", expressions=[node.this])])
    return node


def entries(node: exp.Expr) -> exp.Expr:
    """LATERAL FLATTEN of objects and arrays, whatever characters are in keys: fakesnow takes those for paths."""
    explode = node.this if isinstance(node, exp.Lateral | exp.TableFromRows) else None
    if not isinstance(explode, exp.Explode):
        return node
    arguments = {each.this.name.upper(): each.expression for each in (explode.this, *explode.expressions)}
    value, mode = arguments["INPUT"].sql(dialect="duckdb"), arguments["MODE"].name
    types = {"OBJECT": "('OBJECT')", "BOTH": "('OBJECT', 'ARRAY')"}[mode]
    call = exp.maybe_parse(f"json_each(CASE WHEN json_type({value}) IN {types} THEN {value} END)", dialect="duckdb")
    return exp.Table(this=call, alias=exp.TableAlias(this=node.args["alias"].this))


def storage(node: exp.Expr, database: str) -> str | None:
    """Remembers of a table whether it is transient, and by what it is clustered: DuckDB knows neither."""
    if not isinstance(node, exp.Create | exp.Alter) or node.args["kind"] != "TABLE":
        return None
    changed = ["transient", "clustering_key"] if isinstance(node, exp.Create) else ["clustering_key"]
    key, table = node.find(exp.ClusterProperty), node.find(exp.Table)
    if isinstance(node, exp.Alter) and not key and "CLUSTERING KEY" not in node.sql():
        return None
    columns = ", ".join(column.name for column in key.expressions) if key else ""
    values = (
        table.catalog or database,
        table.db,
        table.name,
        "YES" if node.find(exp.TransientProperty) else "NO",
        f"LINEAR({columns})" if key else None,
    )
    return (
        f"INSERT INTO {STORAGE_TABLE} VALUES ({', '.join(exp.convert(value).sql() for value in values)}) "
        f"ON CONFLICT DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in changed)}"
    )


def listed(expression: exp.Expr, stage_found: tuple[str, ...] | None) -> str:
    """The query for LIST of a stage; fakesnow knows of stages inside of Snowflake only."""
    if expression.args.get("list_stage_name") and stage_found and stage_found[-1].startswith("s3://"):
        return f"SELECT filename AS name, size FROM read_blob('{stage_found[-1]}**/*.*')"
    return complete_stage_lookup(expression, stage_found)


def with_views(template: Template) -> Template:
    """INFORMATION_SCHEMA.TABLES with the views, and with what is known of storage."""
    both = (
        "(SELECT database_name, schema_name, table_name, estimated_size, 'BASE TABLE' AS kind FROM duckdb_tables "
        "UNION ALL SELECT database_name, schema_name, view_name, NULL, 'VIEW' FROM duckdb_views WHERE NOT internal)"
    )
    text = template.template.replace("'BASE TABLE' AS", "kind AS")
    text = text.replace("""'NO' AS "IS_TRANSIENT\"""", """COALESCE(transient, 'NO') AS "IS_TRANSIENT\"""")
    text = text.replace("""NULL::VARCHAR AS "CLUSTERING_KEY\"""", """clustering_key AS "CLUSTERING_KEY\"""")
    remembered = (
        f"left join {STORAGE_TABLE} storage on tables.database_name = storage.catalog "
        "AND tables.schema_name = storage.schema AND tables.table_name = storage.name"
    )
    return Template(text.replace("from duckdb_tables tables", f"from {both} tables {remembered}"))


def merge_by_duckdb(cursor: Any, merge: exp.Merge) -> exp.Expr:
    """Runs a MERGE as DuckDB does, which refuses one that is ambiguous, as Snowflake; gives the query of its counts."""
    connection = cursor._conn
    if not connection._autocommit and not connection._in_transaction:
        cursor._duck_conn.begin()
        connection._in_transaction = True
    for update in (when.args["then"] for when in merge.find_all(exp.When)):
        for assignment in update.expressions if isinstance(update, exp.Update) else []:
            assignment.this.set("table", None)
    rows = cursor._duck_conn.execute(merge.sql(dialect="duckdb") + " RETURNING merge_action").fetchall()
    counts = {what: sum(row[-1] == action for row in rows) for action, what in ACTIONS.items()}
    query = parse_one("SELECT " + ", ".join(f'{count} AS "number of rows {what}"' for what, count in counts.items()))
    query.set("merge_counts", True)
    return query


ACTIONS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}


def apply() -> None:
    """Puts the fixes in place."""
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    transform, execute, answer = cursor._transform, cursor._execute, cursor.execute
    inline_variables, describe = cursor._inline_variables, cursor._describe_last_sql
    timestamps, comment_table = arrow.timestamp_to_sf_struct, info_schema.insert_table_comment_sql

    def fixed_transform(self: Any, expression: exp.Expr, params: Any) -> exp.Expr:
        if remember := storage(expression, self._conn.database):
            with self._duck_conn.cursor() as apart:  # from the transaction of the statement, as DuckDB wants it
                apart.execute(remember)
        return transform(self, expression.transform(variants), params)

    def fixed_variables(self: Any, sql: str) -> str:
        return str(inline_variables(self, sql)) if "$" in TEXTS.sub("", sql) else sql

    def fixed_execute(self: Any, expression: exp.Expr, params: Any = None) -> None:
        if isinstance(expression, exp.Merge):
            expression = merge_by_duckdb(self, expression)
        execute(self, expression, params)
        is_of_before = expression.args.get("result_scan_sfqid")
        self._columns = None if is_of_before else self._duck_conn.description
        for comment in comments_within(expression):
            self._duck_conn.execute(comment)

    def fixed_describe(self: Any) -> list[tuple[Any, ...]]:
        """DuckDB has the types of a result with it; fakesnow would have it plan the whole query once more."""
        if self._columns is None:
            return list(describe(self))
        return [(name, str(type_), *[None] * 4) for name, type_, *_ in self._columns]

    def fixed_answer(self: Any, *args: Any, **kwargs: Any) -> Any:
        """What DuckDB or fakesnow cannot do is an error of SQL: a client would try anything else again and again."""
        try:
            return answer(self, *args, **kwargs)
        except snowflake.connector.errors.Error:
            raise
        except duckdb.IOException as error:
            if not (missing := re.search(r"No files found that match the pattern \"(.*)\"", str(error))):
                raise
            message = f"Remote file '{missing[1]}' was not found. There are several potential causes."
            raise snowflake.connector.errors.ProgrammingError(msg=message, errno=91016, sqlstate="22000") from error
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            raise snowflake.connector.errors.ProgrammingError(msg=message, errno=603, sqlstate="XX000") from error

    def fixed_timestamps(times: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Without it NULL comes as 1970-01-01."""
        times = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
        filled = timestamps(times.fill_null(0) if times.null_count else times)
        return pa.StructArray.from_arrays(filled.flatten(), fields=list(filled.type), mask=times.is_null())

    cursor._transform, cursor._execute, cursor.execute = fixed_transform, fixed_execute, fixed_answer
    cursor._inline_variables, cursor._describe_last_sql = fixed_variables, fixed_describe
    arrow.timestamp_to_sf_struct = fixed_timestamps
    fakesnow.cursor.transforms.flatten = entries
    fakesnow.cursor.transforms.merge = lambda expression: [expression]
    stage.stage_lookup_sql = lambda *names: stage_lookup_sql(*names).replace("AS storage_name", "AS storage_name, url")
    stage.complete_stage_lookup = listed
    info_schema.insert_table_comment_sql = lambda *names: comment_table(
        *(name and name.replace("'", "''") for name in names)
    )
    info_schema.SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW = with_views(
        info_schema.SQL_CREATE_INFORMATION_SCHEMA_TABLES_VIEW
    )
