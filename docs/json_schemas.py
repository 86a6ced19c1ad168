"""Write `sqlmesh/schemas/`: JSON schemas by which editors complete and check the files that users write."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter

from generated import ROOT, files_command

sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.charts.book import Chart
from amplitude_source.charts.definitions import Definitions
from amplitude_source.charts.properties import COLUMN, Properties

SCHEMAS = ROOT / "sqlmesh" / "schemas"
SCRIPT = Path(__file__).name


def properties() -> str:
    schema = schema_of(Properties)
    schema["propertyNames"] = {"pattern": f"^{COLUMN.pattern}$"}  # pydantic's own are not for a mapping's keys
    return text(schema)


def definitions() -> str:
    return text(schema_of(Definitions))


def chart() -> str:
    return text(TypeAdapter(Annotated[Chart, Field(discriminator="type")]).json_schema(by_alias=True))


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(by_alias=True)


def text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    writers = {"properties": properties, "definitions": definitions, "chart": chart}
    files_command(SCRIPT, {SCHEMAS / f"{name}.json": writer for name, writer in writers.items()})()
