-- All of Snowflake's side, for an account administrator: warehouse, database, roles, users, storage integration, stage
-- and grants. Run it again whenever it changes: what is there stays, and keys, bucket and grants are brought up to date.
--
-- infra/handshake.py runs it with the values of the AWS stack. By hand, either of
--   snow sql -f infra/snowflake/setup.sql -D "staging_url=..." -D "snowflake_role_arn=..." \
--     -D "loader_public_key=..." -D "transformer_public_key=..."
--   a Snowsight worksheet, with what `python infra/handshake.py --dry-run` prints.
-- The Snowflake CLI's placeholders are used, for Snowflake's own session variables hold 256 bytes, which no RSA key
-- fits into, and are not read in the properties of users, stages and integrations.

-- Who there is -------------------------------------------------------------------------------------------------------
USE ROLE USERADMIN;

CREATE ROLE IF NOT EXISTS AMPLITUDE_LOADER COMMENT = 'The pipeline: writes bronze, reads the staging area of the lake';
CREATE ROLE IF NOT EXISTS AMPLITUDE_TRANSFORMER COMMENT = 'SQLMesh: reads bronze, builds silver and gold';
CREATE ROLE IF NOT EXISTS AMPLITUDE_ANALYST COMMENT = 'People and dashboards: read silver and gold';

-- The roles' parent is the one that owns the database, as Snowflake advises.
GRANT ROLE AMPLITUDE_LOADER TO ROLE SYSADMIN;
GRANT ROLE AMPLITUDE_TRANSFORMER TO ROLE SYSADMIN;
GRANT ROLE AMPLITUDE_ANALYST TO ROLE SYSADMIN;

-- Users of type SERVICE have no password: their key is the only way in.
CREATE USER IF NOT EXISTS AMPLITUDE_LOADER TYPE = SERVICE
  DEFAULT_ROLE = AMPLITUDE_LOADER DEFAULT_WAREHOUSE = AMPLITUDE_WH COMMENT = 'python pipelines/amplitude.py';
CREATE USER IF NOT EXISTS AMPLITUDE_TRANSFORMER TYPE = SERVICE
  DEFAULT_ROLE = AMPLITUDE_TRANSFORMER DEFAULT_WAREHOUSE = AMPLITUDE_WH COMMENT = 'sqlmesh';
ALTER USER AMPLITUDE_LOADER SET RSA_PUBLIC_KEY = '<% loader_public_key %>';
ALTER USER AMPLITUDE_TRANSFORMER SET RSA_PUBLIC_KEY = '<% transformer_public_key %>';
GRANT ROLE AMPLITUDE_LOADER TO USER AMPLITUDE_LOADER;
GRANT ROLE AMPLITUDE_TRANSFORMER TO USER AMPLITUDE_TRANSFORMER;

-- What there is ------------------------------------------------------------------------------------------------------
USE ROLE SYSADMIN;

-- A minute is the least that Snowflake charges when a warehouse resumes, so a shorter pause would save nothing.
CREATE WAREHOUSE IF NOT EXISTS AMPLITUDE_WH
  WAREHOUSE_SIZE = XSMALL
  AUTO_SUSPEND = 60
  AUTO_RESUME = TRUE
  INITIALLY_SUSPENDED = TRUE
  STATEMENT_TIMEOUT_IN_SECONDS = 3600
  COMMENT = 'amplitude-warehouse';

CREATE DATABASE IF NOT EXISTS AMPLITUDE COMMENT = 'amplitude-warehouse';
-- With managed access, who owns a table or view there cannot give others rights on it: grants are this script's alone.
CREATE SCHEMA IF NOT EXISTS AMPLITUDE.BRONZE WITH MANAGED ACCESS COMMENT = 'What Amplitude exported';
-- Where dlt prepares the few rows that it merges; nothing there outlives a load.
CREATE TRANSIENT SCHEMA IF NOT EXISTS AMPLITUDE.BRONZE_STAGING WITH MANAGED ACCESS DATA_RETENTION_TIME_IN_DAYS = 0
  COMMENT = 'Of loads under way';
-- Views, and the tables behind them, which analysts cannot reach.
CREATE SCHEMA IF NOT EXISTS AMPLITUDE.SILVER WITH MANAGED ACCESS COMMENT = 'Unique events, users, sessions';
CREATE SCHEMA IF NOT EXISTS AMPLITUDE.GOLD WITH MANAGED ACCESS COMMENT = 'The metrics of the charts of Amplitude';
CREATE SCHEMA IF NOT EXISTS AMPLITUDE.SILVER_TABLES WITH MANAGED ACCESS COMMENT = 'Behind the views of SILVER';
CREATE SCHEMA IF NOT EXISTS AMPLITUDE.GOLD_TABLES WITH MANAGED ACCESS COMMENT = 'Behind the views of GOLD';

-- What only an account administrator may make ------------------------------------------------------------------------
USE ROLE ACCOUNTADMIN;

-- A ceiling in credits a month: at 100 % running statements end, and none starts until the month is over.
CREATE RESOURCE MONITOR IF NOT EXISTS AMPLITUDE_MONITOR WITH
  CREDIT_QUOTA = 100
  FREQUENCY = MONTHLY
  START_TIMESTAMP = IMMEDIATELY
  TRIGGERS ON 75 PERCENT DO NOTIFY ON 100 PERCENT DO SUSPEND ON 110 PERCENT DO SUSPEND_IMMEDIATE;
ALTER WAREHOUSE AMPLITUDE_WH SET RESOURCE_MONITOR = AMPLITUDE_MONITOR;

-- Never OR REPLACE: a new integration has a new external id, which the role on AWS does not trust.
CREATE STORAGE INTEGRATION IF NOT EXISTS AMPLITUDE_LAKE
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = S3
  STORAGE_AWS_ROLE_ARN = '<% snowflake_role_arn %>'
  STORAGE_ALLOWED_LOCATIONS = ('<% staging_url %>')
  ENABLED = TRUE;
ALTER STORAGE INTEGRATION AMPLITUDE_LAKE SET
  STORAGE_AWS_ROLE_ARN = '<% snowflake_role_arn %>'
  STORAGE_ALLOWED_LOCATIONS = ('<% staging_url %>')
  ENABLED = TRUE;
GRANT USAGE ON INTEGRATION AMPLITUDE_LAKE TO ROLE SYSADMIN;

USE ROLE SYSADMIN;

-- The URL is that of the pipeline's staging area, to the slash: COPY names files by what follows it.
CREATE STAGE IF NOT EXISTS AMPLITUDE.BRONZE.LAKE_STAGING
  URL = '<% staging_url %>' STORAGE_INTEGRATION = AMPLITUDE_LAKE;
ALTER STAGE AMPLITUDE.BRONZE.LAKE_STAGING SET
  URL = '<% staging_url %>' STORAGE_INTEGRATION = AMPLITUDE_LAKE;

-- Who may do what ----------------------------------------------------------------------------------------------------
USE ROLE SECURITYADMIN; -- may grant on what does not exist yet

-- The warehouse resumes by itself for whoever may use it; none of them may suspend, resize or drop it.
GRANT USAGE ON WAREHOUSE AMPLITUDE_WH TO ROLE AMPLITUDE_LOADER;
GRANT USAGE ON WAREHOUSE AMPLITUDE_WH TO ROLE AMPLITUDE_TRANSFORMER;
GRANT USAGE ON WAREHOUSE AMPLITUDE_WH TO ROLE AMPLITUDE_ANALYST;
GRANT USAGE ON DATABASE AMPLITUDE TO ROLE AMPLITUDE_LOADER;
GRANT USAGE ON DATABASE AMPLITUDE TO ROLE AMPLITUDE_TRANSFORMER;
GRANT USAGE ON DATABASE AMPLITUDE TO ROLE AMPLITUDE_ANALYST;

-- The loader owns the tables that it makes, and so may add columns, delete and truncate. Through the stage it reads the
-- lake's staging area; the integration itself it cannot use, so it cannot reach another folder of the bucket.
GRANT USAGE ON SCHEMA AMPLITUDE.BRONZE TO ROLE AMPLITUDE_LOADER;
GRANT CREATE TABLE ON SCHEMA AMPLITUDE.BRONZE TO ROLE AMPLITUDE_LOADER;
GRANT USAGE ON STAGE AMPLITUDE.BRONZE.LAKE_STAGING TO ROLE AMPLITUDE_LOADER;
GRANT USAGE ON SCHEMA AMPLITUDE.BRONZE_STAGING TO ROLE AMPLITUDE_LOADER;
GRANT CREATE TABLE ON SCHEMA AMPLITUDE.BRONZE_STAGING TO ROLE AMPLITUDE_LOADER;
-- `status` and `restate` compare the ledger with gold.export_hours_taken. The loader learns nothing new from gold's other
-- views, because all of them come from bronze, which it owns.
GRANT USAGE ON SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_LOADER;
GRANT SELECT ON ALL VIEWS IN SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_LOADER;
GRANT SELECT ON FUTURE VIEWS IN SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_LOADER;

-- SQLMesh makes views, and the tables and views behind them. For development environments and for the models of the
-- user it makes schemas, which it owns: it alone could grant others a look into those.
GRANT USAGE ON SCHEMA AMPLITUDE.BRONZE TO ROLE AMPLITUDE_TRANSFORMER;
GRANT SELECT ON ALL TABLES IN SCHEMA AMPLITUDE.BRONZE TO ROLE AMPLITUDE_TRANSFORMER;
GRANT SELECT ON FUTURE TABLES IN SCHEMA AMPLITUDE.BRONZE TO ROLE AMPLITUDE_TRANSFORMER;
GRANT CREATE SCHEMA ON DATABASE AMPLITUDE TO ROLE AMPLITUDE_TRANSFORMER;
GRANT USAGE ON SCHEMA AMPLITUDE.SILVER TO ROLE AMPLITUDE_TRANSFORMER;
GRANT CREATE VIEW ON SCHEMA AMPLITUDE.SILVER TO ROLE AMPLITUDE_TRANSFORMER;
GRANT USAGE ON SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_TRANSFORMER;
GRANT CREATE VIEW ON SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_TRANSFORMER;
GRANT USAGE ON SCHEMA AMPLITUDE.SILVER_TABLES TO ROLE AMPLITUDE_TRANSFORMER;
GRANT CREATE TABLE ON SCHEMA AMPLITUDE.SILVER_TABLES TO ROLE AMPLITUDE_TRANSFORMER;
GRANT CREATE VIEW ON SCHEMA AMPLITUDE.SILVER_TABLES TO ROLE AMPLITUDE_TRANSFORMER;
GRANT USAGE ON SCHEMA AMPLITUDE.GOLD_TABLES TO ROLE AMPLITUDE_TRANSFORMER;
GRANT CREATE TABLE ON SCHEMA AMPLITUDE.GOLD_TABLES TO ROLE AMPLITUDE_TRANSFORMER;
GRANT CREATE VIEW ON SCHEMA AMPLITUDE.GOLD_TABLES TO ROLE AMPLITUDE_TRANSFORMER;

-- A plan makes views anew. One that is new gets the FUTURE grant; one that is replaced keeps its own, since SQLMesh
-- writes COPY GRANTS. A view reads with its owner's rights: the tables behind it stay out of an analyst's reach.
GRANT USAGE ON SCHEMA AMPLITUDE.SILVER TO ROLE AMPLITUDE_ANALYST;
GRANT SELECT ON ALL VIEWS IN SCHEMA AMPLITUDE.SILVER TO ROLE AMPLITUDE_ANALYST;
GRANT SELECT ON FUTURE VIEWS IN SCHEMA AMPLITUDE.SILVER TO ROLE AMPLITUDE_ANALYST;
GRANT USAGE ON SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_ANALYST;
GRANT SELECT ON ALL VIEWS IN SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_ANALYST;
GRANT SELECT ON FUTURE VIEWS IN SCHEMA AMPLITUDE.GOLD TO ROLE AMPLITUDE_ANALYST;
