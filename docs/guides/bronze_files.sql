-- What counts of bronze's files (`--destination filesystem`), as views for DuckDB:
--   duckdb -cmd "SET VARIABLE bronze = 'data/lake/bronze'" -init docs/guides/bronze_files.sql
-- The same for other engines: of an hour those rows count that came with its newest finished load.

-- dlt adds a file for each load once all of the load's other files are in place.
CREATE VIEW finished_loads AS
SELECT load_id
FROM read_json(getvariable('bronze') || '/_dlt_loads/*.jsonl', columns = {load_id: 'VARCHAR'});

CREATE VIEW export_hours AS
SELECT DISTINCT *
FROM read_parquet(getvariable('bronze') || '/export_hours/*.parquet', union_by_name = true)
WHERE _dlt_load_id IN (SELECT load_id FROM finished_loads)
QUALIFY _dlt_load_id = MAX(_dlt_load_id) OVER (PARTITION BY project, export_hour);

CREATE VIEW events AS
SELECT *
FROM read_parquet(getvariable('bronze') || '/events/*.parquet', union_by_name = true) AS loaded
SEMI JOIN export_hours AS hours
    ON loaded._project = hours.project
    AND loaded._export_hour = hours.export_hour
    AND loaded._dlt_load_id = hours._dlt_load_id;

CREATE VIEW rejected_rows AS
SELECT *
FROM read_parquet(getvariable('bronze') || '/rejected_rows/*.parquet', union_by_name = true) AS loaded
SEMI JOIN export_hours AS hours
    ON loaded._project = hours.project
    AND loaded._export_hour = hours.export_hour
    AND loaded._dlt_load_id = hours._dlt_load_id;
