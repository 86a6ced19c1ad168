-- Lets SQLMesh make dynamic tables, for `dynamic_tables` of sqlmesh/config.yaml. By hand, as an account administrator,
-- after infra/snowflake/setup.sql:
--   snow sql -f infra/snowflake/dynamic_tables.sql

USE ROLE SECURITYADMIN;

GRANT CREATE DYNAMIC TABLE ON SCHEMA AMPLITUDE.GOLD_TABLES TO ROLE AMPLITUDE_TRANSFORMER;
