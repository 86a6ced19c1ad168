"""What SQLMesh believes of bronze is what loads make."""

from ruamel.yaml import YAML

from amplitude_source.tables import LOAD_ID, ODD_VALUES, TABLES
from support.project import REPOSITORY

PATH = REPOSITORY / "sqlmesh/external_models.yaml"
SQL_TYPES = {
    "json": "TEXT",
    "text": "TEXT",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP_NTZ",
    "date": "DATE",
}
# dlt's own table, of which tables.py knows nothing.
DLT_LOADS = {"load_id": "TEXT", "status": "BIGINT", "inserted_at": "TIMESTAMP_TZ"}


def test_external_models_have_the_columns_of_the_tables() -> None:
    described = {model["name"].removeprefix("bronze."): model["columns"] for model in YAML(typ="safe").load(PATH)}
    expected = {
        table: {name.replace("$", "_"): SQL_TYPES[column.type] for name, column in columns.items()} | {LOAD_ID: "TEXT"}
        for table, columns in TABLES.items()
    }
    for columns in expected.values():
        columns.pop(ODD_VALUES, None)  # no model reads it
    assert described == expected | {"_dlt_loads": DLT_LOADS}, f"write {PATH.name} anew by tables.py"
