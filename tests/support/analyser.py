"""An analyser of names, types and signatures in Snowflake's SQL, which neither SQLMesh nor this project wrote.

It is that of the npm package in zetasql/. It judges queries and changes of rows, as sqlglot reads them, and learns from
statements before what tables and views there are. Statements of other kinds are left to the grammar (grammar.py).

It refuses some things that Snowflake takes. `Respelling` writes each of them in words that it knows, and FUNCTIONS and
VIEWS are what it lacks. Beside each stands its page under https://docs.snowflake.com/en/sql-reference/.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, ClassVar, cast

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.generators.snowflake import SnowflakeGenerator
from sqlglot.optimizer.scope import walk_in_scope

from support.project import REPOSITORY
from support.statements import trees

FOLDER = REPOSITORY / "tests/support/zetasql"
SESSION_SCHEMA = "BRONZE"
"""Where a table is whose schema is not named: that of dlt's sessions."""
SAME = re.compile(r"/\* SQLMESH_\w+: \w+ \*/|(?<=')\d{4}-\d\d-\d\d[^']*(?=')|\d{10}\.\d+")
"""What two statements may differ by, and be judged once: the run, times, and ids of loads."""

JUDGED = ("SELECT", "WITH", "INSERT", "MERGE", "UPDATE", "DELETE")
"""How statements begin that must not be left out."""

Json = dict[str, Any]
Type = str | int
"""A kind of type, by ZetaSQL's name or number."""
Columns = list[tuple[str, Type]]

TEXT, NUMBER, FRACTION, BOOLEAN, VARIANT = (f"TYPE_{name}" for name in ("STRING", "INT64", "DOUBLE", "BOOL", "VARIANT"))
KINDS: dict[exp.DType, Type] = {
    **dict.fromkeys(exp.DataType.TEXT_TYPES, TEXT),
    **dict.fromkeys(exp.DataType.INTEGER_TYPES, NUMBER),
    **dict.fromkeys(exp.DataType.FLOAT_TYPES, FRACTION),
    **dict.fromkeys(exp.DataType.TEMPORAL_TYPES, "TYPE_TIMESTAMP"),
    exp.DType.DATE: "TYPE_DATE",
    exp.DType.DECIMAL: "TYPE_NUMERIC",
    exp.DType.BOOLEAN: BOOLEAN,
    exp.DType.VARIANT: VARIANT,
    exp.DType.VARBINARY: "TYPE_BYTES",
}


class Analyser:
    """The analyser, with the tables and views that the statements so far have made."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers
        self._tables: dict[tuple[str, str], Columns] = {}

    def refusals(self, statements: Iterable[str]) -> list[str]:
        """The statements that are refused, each with the reason; they come in the order in which they were sent."""
        different = {SAME.sub("", sql): sql for sql in statements}
        return [f"{error}\n{sql[:500]}" for sql in different.values() for error in self._judge(sql)]

    def _judge(self, sql: str) -> Iterator[str]:
        try:
            parsed = trees(sql)
        except ParseError as error:
            if not sql.startswith("LIST "):  # of a stage; sqlglot reads no LIST
                yield str(error)
            return
        for tree in parsed:
            if isinstance(tree, exp.Create) and tree.kind in ("TABLE", "VIEW"):
                yield from self._make(tree)
            elif isinstance(tree, exp.Alter) and tree.kind == "TABLE":
                added = [action for action in tree.args["actions"] if isinstance(action, exp.ColumnDef)]
                self._tables.setdefault(_key(tree.this), []).extend(map(_column, added))
            elif isinstance(tree, (exp.Query, exp.DML)) and not isinstance(tree, exp.Copy):
                answer = self._ask(tree)
                if "error" in answer:
                    yield answer["error"]
            elif isinstance(tree, exp.Command) and tree.name.upper() in JUDGED:
                yield "sqlglot does not know its form, so the analyser cannot be asked"

    def _make(self, tree: exp.Create) -> Iterator[str]:
        """A table or view: like another, of columns with types, or of a query."""
        parts = tree.this.expressions
        if like := tree.find(exp.LikeProperty):
            columns = [*self._tables.get(_key(like.this), [])]
        elif not tree.expression:
            columns = [_column(part) for part in parts if isinstance(part, exp.ColumnDef)]
        else:
            answer = self._ask(tree.expression, wanted=True)
            if "error" in answer:
                yield answer["error"]
                return
            columns = [(name, kind) for name, kind in answer["columns"]]
            if parts:
                names = [_name(part.find(exp.Identifier)) for part in parts]
                columns = [(name, kind) for name, (_, kind) in zip(names, columns, strict=True)]
        self._tables[_key(tree.find(exp.Table))] = columns

    def _ask(self, tree: exp.Expr, wanted: bool = False) -> Json:
        """The answer about a query or change, with its columns if they are wanted."""
        request = {"sql": Respelling().generate(tree), "catalog": self._catalog(tree), "wanted": wanted}
        self._requests.write(f"{json.dumps(request)}\n")
        self._requests.flush()
        return cast(Json, json.loads(self._answers.readline()))

    def _catalog(self, tree: exp.Expr) -> Json:
        """The functions, and the tables that a statement names, as it names them."""
        schemas: dict[str, dict[str, Json]] = {"": {}}
        for table in tree.find_all(exp.Table):
            schema, name = _key(table)
            columns = VIEWS.get((schema, name)) or self._tables.get((schema, name))
            if columns:
                place = schemas.setdefault(schema if table.db else "", {})
                place[name] = {
                    "name": name,
                    "column": [{"name": each, "type": {"typeKind": kind}} for each, kind in columns],
                }
        return {
            "customFunction": FUNCTIONS,
            "table": [*schemas.pop("").values()],
            "catalog": [{"name": schema, "table": [*tables.values()]} for schema, tables in schemas.items()],
        }


@contextmanager
def analysing() -> Iterator[Analyser]:
    """Start the analyser."""
    assert (FOLDER / "node_modules").exists(), "the analyser is missing: make analyser"
    command = ["node", str(FOLDER / "analyse.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield Analyser(process.stdin, process.stdout)


def assert_takes(statements: Iterable[str]) -> None:
    """A new analyser takes these statements, in this order."""
    with analysing() as analyser:
        refused = analyser.refusals(statements)
    assert refused == [], "\n".join(["the analyser refuses what is sent:", *refused])


def _key(table: exp.Expr | None) -> tuple[str, str]:
    """A table's schema and name."""
    assert isinstance(table, exp.Table)
    return (_name(table.args["db"]) if table.db else SESSION_SCHEMA, _name(table.this))


def _name(identifier: exp.Expr | None) -> str:
    assert identifier
    return identifier.name if identifier.args.get("quoted") else identifier.name.upper()


def _column(definition: exp.ColumnDef) -> tuple[str, Type]:
    assert definition.kind
    return _name(definition.this), NUMBER if _is_whole(definition.kind) else KINDS[definition.kind.this]


def _is_whole(type_: exp.DataType) -> bool:
    """Whether a decimal has no fraction; by default it has none."""
    digits = [int(each.name) for each in type_.expressions]
    return type_.this == exp.DType.DECIMAL and not any(digits[1:])


# --- what Snowflake takes and the analyser does not


class Respelling(SnowflakeGenerator):
    """Writes a statement in words that the analyser knows, for the same thing."""

    TRANSFORMS: ClassVar = {
        type_: write for type_, write in SnowflakeGenerator.TRANSFORMS.items() if type_ is not exp.GroupConcat
    }

    def __init__(self) -> None:
        """All names are quoted, because the analyser reserves other words: reserved-keywords."""
        super().__init__(dialect="snowflake", identify=True, comments=False)

    def table_sql(self, table: exp.Table, sep: str = " AS ") -> str:
        """A table by its schema and name, because there is one database."""
        table.set("catalog", None)
        return super().table_sql(table, sep)

    def datatype_sql(self, type_: exp.DataType) -> str:
        """Times have nine digits and short names, whole numbers have 38: data-types-datetime, data-types-numeric."""
        if _is_whole(type_):
            return "BIGINT"
        if type_.this in exp.DataType.TEMPORAL_TYPES:
            type_.set("expressions", [])
        return re.sub(r"^TIMESTAMP(?=[NL]?TZ)", "TIMESTAMP_", super().datatype_sql(type_))

    def select_sql(self, select: exp.Select) -> str:
        """A query with the clauses that the analyser wants.

        - WHERE needs no FROM: sql/select.
        - QUALIFY needs no WHERE, GROUP BY or HAVING: constructs/qualify.
        - GROUP BY ALL groups by all that holds no aggregate, and columns go before aliases: constructs/group-by.
        """
        if select.args.get("where") and not select.args.get("from_"):
            select.from_("(SELECT 1) AS _ROW", copy=False)
        if select.args.get("qualify") and not any(map(select.args.get, ("where", "group", "having"))):
            select.where(exp.true(), copy=False)
        if group := select.args.get("group"):
            items = [each.unalias() for each in select.selects]
            keys = (
                [each for each in items if not each.find(exp.AggFunc)] if group.args.get("all") else group.expressions
            )
            places = [exp.convert(items.index(key) + 1) if key in items else key for key in keys]
            select.set("group", exp.Group(expressions=places))
            self._rename_tables(select, {each.alias for each in select.selects if each.alias})
        return super().select_sql(select)

    def _rename_tables(self, select: exp.Select, names: set[str]) -> None:
        """Give a query's tables other names than these."""
        for node in walk_in_scope(select):
            if isinstance(node, exp.Column) and node.table in names:
                node.set("table", exp.to_identifier(f"_{node.table}"))
            elif isinstance(node, (exp.Table, exp.Subquery)) and node.alias_or_name in names:
                node.set("alias", exp.TableAlias(this=exp.to_identifier(f"_{node.alias_or_name}")))

    def star_sql(self, star: exp.Star) -> str:
        """EXCLUDE leaves columns out: sql/select."""
        return super().star_sql(star).replace("EXCLUDE", "EXCEPT")

    def in_sql(self, condition: exp.In) -> str:
        """Several columns can be looked for together: functions/in."""
        query = condition.args.get("query")
        if not query or not isinstance(condition.this, exp.Tuple):
            return super().in_sql(condition)
        pairs = zip(condition.this.expressions, query.this.named_selects, strict=True)
        keys = query.this.subquery("_KEYS")
        return self.sql(exp.and_(*(key.isin(query=exp.select(name).from_(keys)) for key, name in pairs)))

    def lateral_sql(self, lateral: exp.Lateral) -> str:
        """LATERAL FLATTEN reads tables before it: functions/flatten."""
        return self.tablefromrows_sql(lateral)

    def tablefromrows_sql(self, table: exp.Expr) -> str:
        """Functions give rows: functions/flatten, functions/generator."""
        call = table.this
        if isinstance(call, exp.Explode):
            call = exp.func("FLATTENED", call.this, *call.expressions)
        return f"UNNEST({self.sql(call)}) AS {self.sql(table.args['alias'], 'this')}"

    def withingroup_sql(self, group: exp.WithinGroup) -> str:
        """PERCENTILE_CONT has its values in WITHIN GROUP: functions/percentile_cont."""
        if not isinstance(group.this, exp.PercentileCont):
            return super().withingroup_sql(group)
        (value,) = group.expression.expressions
        return self.func("PERCENTILE_OF", value.this, group.this.this)

    def groupconcat_sql(self, call: exp.GroupConcat) -> str:
        """LISTAGG has its order in WITHIN GROUP: functions/listagg."""
        if not isinstance(call.this, exp.Order):
            return self.func("LISTAGG", call.this, call.args["separator"])
        (order,) = call.this.expressions
        return self.func("LISTAGG_IN_ORDER", call.this.this, call.args["separator"], order.this)

    def ilike_sql(self, like: exp.ILike) -> str:
        """ILIKE is LIKE for any case: functions/ilike."""
        return self.sql(exp.Like(this=exp.Lower(this=like.this), expression=exp.Lower(this=like.expression)))

    def md5_sql(self, call: exp.MD5) -> str:
        """MD5 is MD5_HEX, which gives text: functions/md5."""
        return self.func("MD5_HEX", call.this)


def _of(type_: Type | Json, **options: Any) -> Json:
    """What a function takes or gives."""
    type_ = type_ if isinstance(type_, dict) else {"typeKind": type_}
    return {"kind": "ARG_TYPE_FIXED", "numOccurrences": -1, "type": type_, "options": options}


def _named(name: str, type_: Type, **options: Any) -> Json:
    return _of(type_, argumentName=name, namedArgumentKind="NAMED_ONLY", **options)


def _rows(**fields: Type) -> Json:
    row = {"field": [{"fieldName": name, "fieldType": {"typeKind": kind}} for name, kind in fields.items()]}
    return {"typeKind": "TYPE_ARRAY", "arrayType": {"elementType": {"typeKind": "TYPE_STRUCT", "structType": row}}}


def _function(name: str, *takes: Json, gives: Json, mode: str = "SCALAR", **options: Any) -> Json:
    signature = {"argument": takes, "returnType": gives}
    return {"namePath": [name], "group": "Snowflake", "mode": mode, "signature": [signature], "options": options}


ANY, OTHER = ({"kind": f"ARG_TYPE_ANY_{number}", "numOccurrences": -1} for number in (1, 2))
OPTIONAL = {"cardinality": "OPTIONAL"}
OVER = {"supportsOverClause": True, "windowOrderingSupport": "ORDER_OPTIONAL", "supportsWindowFraming": True}
FLATTENED = _rows(SEQ=NUMBER, KEY=TEXT, PATH=TEXT, INDEX=NUMBER, VALUE=VARIANT, THIS=VARIANT)
FUNCTIONS = [
    _function("COUNT_IF", _of(BOOLEAN), gives=_of(NUMBER), mode="AGGREGATE", **OVER),  # functions/count_if
    _function("CURRENT_DATABASE", gives=_of(TEXT)),  # functions/current_database
    _function("CURRENT_ROLE", gives=_of(TEXT)),  # functions/current_role
    _function("CURRENT_WAREHOUSE", gives=_of(TEXT)),  # functions/current_warehouse
    _function(  # functions/flatten
        "FLATTENED",
        *(_named("INPUT", VARIANT), _named("MODE", TEXT, **OPTIONAL), _named("OUTER", BOOLEAN, **OPTIONAL)),
        gives=_of(FLATTENED),
    ),
    _function("GENERATOR", _named("ROWCOUNT", NUMBER), gives=_of(_rows(_ROW=NUMBER))),  # functions/generator
    _function("LISTAGG_IN_ORDER", _of(TEXT), _of(TEXT), ANY, gives=_of(TEXT), mode="AGGREGATE"),  # functions/listagg
    _function("MAX_BY", ANY, OTHER, gives=ANY, mode="AGGREGATE"),  # functions/max_by
    _function("MD5_HEX", _of(TEXT), gives=_of(TEXT)),  # functions/md5
    _function("MIN_BY", ANY, OTHER, gives=ANY, mode="AGGREGATE"),  # functions/min_by
    _function(  # functions/percentile_cont
        "PERCENTILE_OF", _of(FRACTION), _of(FRACTION), gives=_of(FRACTION), mode="AGGREGATE"
    ),
    _function("SPLIT_PART", _of(TEXT), _of(TEXT), _of(NUMBER), gives=_of(TEXT)),  # functions/split_part
    _function("STARTSWITH", _of(TEXT), _of(TEXT), gives=_of(BOOLEAN)),  # functions/startswith
]


def _view(texts: str, numbers: str = "") -> Columns:
    return [*((name, TEXT) for name in texts.split()), *((name, NUMBER) for name in numbers.split())]


VIEWS: dict[tuple[str, str], Columns] = {
    ("INFORMATION_SCHEMA", "COLUMNS"): _view(  # info-schema/columns
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME DATA_TYPE IS_NULLABLE COMMENT",
        "ORDINAL_POSITION NUMERIC_PRECISION NUMERIC_SCALE",
    ),
    ("INFORMATION_SCHEMA", "SCHEMATA"): _view("CATALOG_NAME SCHEMA_NAME"),  # info-schema/schemata
    ("INFORMATION_SCHEMA", "TABLES"): _view(  # info-schema/tables
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_TYPE IS_DYNAMIC IS_TRANSIENT CLUSTERING_KEY COMMENT"
    ),
}
