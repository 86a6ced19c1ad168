-- The dashboard as Streamlit in Snowflake, which reads as AMPLITUDE_ANALYST. By hand, as an account administrator, after
-- infra/snowflake/setup.sql and a first plan:
--   snow sql -q "CREATE SCHEMA IF NOT EXISTS AMPLITUDE.DASHBOARD; CREATE STAGE IF NOT EXISTS AMPLITUDE.DASHBOARD.FILES"
--   snow stage copy dashboard @AMPLITUDE.DASHBOARD.FILES --recursive --overwrite
--   snow stage copy docs/reference/tables.md @AMPLITUDE.DASHBOARD.FILES --overwrite
--   snow sql -f infra/snowflake/dashboard.sql -D "compute_pool=..." -D "package_integration=..."
-- The compute pool runs the pages; the integration lets it install what dashboard/requirements.txt names. After a change
-- of the dashboard, copy the files and run this again.

USE ROLE SYSADMIN;

CREATE SCHEMA IF NOT EXISTS AMPLITUDE.DASHBOARD WITH MANAGED ACCESS COMMENT = 'The dashboard and its files';
CREATE STAGE IF NOT EXISTS AMPLITUDE.DASHBOARD.FILES COMMENT = 'dashboard/ of the repository';

USE ROLE SECURITYADMIN;

GRANT USAGE ON SCHEMA AMPLITUDE.DASHBOARD TO ROLE AMPLITUDE_ANALYST;
GRANT CREATE STREAMLIT ON SCHEMA AMPLITUDE.DASHBOARD TO ROLE AMPLITUDE_ANALYST;
GRANT READ ON STAGE AMPLITUDE.DASHBOARD.FILES TO ROLE AMPLITUDE_ANALYST;
GRANT USAGE ON COMPUTE POOL <% compute_pool %> TO ROLE AMPLITUDE_ANALYST;
GRANT USAGE ON INTEGRATION <% package_integration %> TO ROLE AMPLITUDE_ANALYST;

-- An app reads with the rights of its owner.
USE ROLE AMPLITUDE_ANALYST;

CREATE OR REPLACE STREAMLIT AMPLITUDE.DASHBOARD.AMPLITUDE
  FROM '@AMPLITUDE.DASHBOARD.FILES'
  MAIN_FILE = 'app.py'
  QUERY_WAREHOUSE = AMPLITUDE_WH
  RUNTIME_NAME = 'SYSTEM$ST_CONTAINER_RUNTIME_PY3_11'
  COMPUTE_POOL = <% compute_pool %>
  EXTERNAL_ACCESS_INTEGRATIONS = (<% package_integration %>)
  TITLE = 'Amplitude'
  COMMENT = 'amplitude-warehouse';
