"""Write `sqlmesh/schemas/`: JSON schemas by which editors complete and check the files that users write."""

import json
import sys
from pathlib import Path

from generated import ROOT, page_command

sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.charts.properties import COLUMN, Properties

SCHEMA = ROOT / "sqlmesh" / "schemas" / "properties.json"
SCRIPT = Path(__file__).name


def text() -> str:
    schema = Properties.model_json_schema(by_alias=True)
    schema["propertyNames"] = {"pattern": f"^{COLUMN.pattern}$"}  # pydantic's own are not for a mapping's keys
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    page_command(SCRIPT, SCHEMA, text)()
