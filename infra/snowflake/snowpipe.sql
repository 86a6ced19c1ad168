-- Has Snowpipe load the files of Amplitude's own export to S3, for `bronze: snowpipe` of sqlmesh/config.yaml. By hand, as
-- an account administrator, after infra/snowflake/setup.sql and infra/aws/snowpipe.yaml:
--   snow sql -f infra/snowflake/snowpipe.sql -D "export_url=s3://.../export/" -D "export_role_arn=..."
-- Then have the role trust Snowflake and the bucket notify the pipe: docs/guides/snowflake-native.md. The script may run
-- again; what is there stays.

USE ROLE USERADMIN;

CREATE ROLE IF NOT EXISTS AMPLITUDE_SNOWPIPE COMMENT = 'The pipe: reads what Amplitude exports, and owns its table';
GRANT ROLE AMPLITUDE_SNOWPIPE TO ROLE SYSADMIN;

USE ROLE SYSADMIN;

CREATE SCHEMA IF NOT EXISTS AMPLITUDE.SNOWPIPE WITH MANAGED ACCESS COMMENT = 'What Snowpipe loads';

-- Never OR REPLACE: a new integration has a new external id, which the role on AWS does not trust.
USE ROLE ACCOUNTADMIN;

CREATE STORAGE INTEGRATION IF NOT EXISTS AMPLITUDE_EXPORT
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = S3
  STORAGE_AWS_ROLE_ARN = '<% export_role_arn %>'
  STORAGE_ALLOWED_LOCATIONS = ('<% export_url %>')
  ENABLED = TRUE;
GRANT USAGE ON INTEGRATION AMPLITUDE_EXPORT TO ROLE SYSADMIN;

USE ROLE SYSADMIN;

CREATE STAGE IF NOT EXISTS AMPLITUDE.SNOWPIPE.EXPORT
  URL = '<% export_url %>' STORAGE_INTEGRATION = AMPLITUDE_EXPORT COMMENT = 'What Amplitude exports';

USE ROLE SECURITYADMIN;

GRANT USAGE ON DATABASE AMPLITUDE TO ROLE AMPLITUDE_SNOWPIPE;
GRANT USAGE ON SCHEMA AMPLITUDE.SNOWPIPE TO ROLE AMPLITUDE_SNOWPIPE;
GRANT USAGE ON STAGE AMPLITUDE.SNOWPIPE.EXPORT TO ROLE AMPLITUDE_SNOWPIPE;
GRANT CREATE TABLE ON SCHEMA AMPLITUDE.SNOWPIPE TO ROLE AMPLITUDE_SNOWPIPE;
GRANT CREATE PIPE ON SCHEMA AMPLITUDE.SNOWPIPE TO ROLE AMPLITUDE_SNOWPIPE;
GRANT USAGE ON SCHEMA AMPLITUDE.SNOWPIPE TO ROLE AMPLITUDE_TRANSFORMER;
GRANT SELECT ON FUTURE TABLES IN SCHEMA AMPLITUDE.SNOWPIPE TO ROLE AMPLITUDE_TRANSFORMER;

USE ROLE AMPLITUDE_SNOWPIPE;

-- Silver reads by hours of upload, in whose order files come, so that no clustering key is paid for.
CREATE TABLE IF NOT EXISTS AMPLITUDE.SNOWPIPE.EVENTS (
  APP NUMBER(38, 0) COMMENT 'Amplitude''s number of the project',
  UUID VARCHAR COMMENT 'Amplitude''s id of the exported row',
  DEVICE_ID VARCHAR COMMENT 'Id of the device or browser',
  INSERT_ID VARCHAR COMMENT 'The client''s id of the event: $insert_id',
  EVENT_TIME TIMESTAMP_NTZ COMMENT 'When it happened (UTC), the client''s clock corrected by Amplitude',
  EVENT_TYPE VARCHAR COMMENT 'Name of the event',
  SERVER_UPLOAD_TIME TIMESTAMP_NTZ COMMENT 'When Amplitude stored it (UTC): its hour is the export hour',
  AMPLITUDE_ID NUMBER(38, 0) COMMENT 'Amplitude''s user as of the event',
  USER_ID VARCHAR COMMENT 'The user''s id in your product',
  SESSION_ID NUMBER(38, 0) COMMENT 'Start of the session in epoch milliseconds, -1 outside of sessions',
  EVENT_ID NUMBER(38, 0) COMMENT 'The client''s running number of the event',
  CLIENT_EVENT_TIME TIMESTAMP_NTZ COMMENT 'When it happened by the client''s own clock',
  CLIENT_UPLOAD_TIME TIMESTAMP_NTZ COMMENT 'When the client sent it by its own clock',
  SERVER_RECEIVED_TIME TIMESTAMP_NTZ COMMENT 'When Amplitude received it (UTC)',
  PLATFORM VARCHAR COMMENT 'Web, iOS, Android',
  OS_NAME VARCHAR COMMENT 'Operating system or browser',
  OS_VERSION VARCHAR COMMENT 'Its version',
  DEVICE_FAMILY VARCHAR COMMENT 'Family of the device',
  DEVICE_TYPE VARCHAR COMMENT 'Type of the device',
  DEVICE_CARRIER VARCHAR COMMENT 'Mobile carrier',
  VERSION_NAME VARCHAR COMMENT 'Version of the app',
  START_VERSION VARCHAR COMMENT 'Version of the app that the user began with',
  LIBRARY VARCHAR COMMENT 'SDK or API that sent the event',
  LANGUAGE VARCHAR COMMENT 'Language of the device',
  COUNTRY VARCHAR COMMENT 'Country, from the IP address',
  REGION VARCHAR COMMENT 'Region, from the IP address',
  CITY VARCHAR COMMENT 'City, from the IP address',
  DMA VARCHAR COMMENT 'Designated market area (United States)',
  IP_ADDRESS VARCHAR COMMENT 'IP address of the client',
  LOCATION_LAT FLOAT COMMENT 'Latitude in degrees',
  LOCATION_LNG FLOAT COMMENT 'Longitude in degrees',
  EVENT_PROPERTIES VARIANT COMMENT 'The event''s properties',
  USER_PROPERTIES VARIANT COMMENT 'The user''s properties as of the event',
  GROUPS VARIANT COMMENT 'The groups that the user was in',
  GROUP_PROPERTIES VARIANT COMMENT 'Their properties',
  DATA VARIANT COMMENT 'What Amplitude notes on the row',
  FILE VARCHAR COMMENT 'The file that brought the row',
  LOADED_AT TIMESTAMP_LTZ COMMENT 'When Snowpipe read it'
) COMMENT = 'The rows of Amplitude''s export to S3';

-- The pattern leaves out files of merged users and marks of complete hours. A file with a value that does not fit its
-- column is left out as a whole, and COPY_HISTORY names it.
CREATE PIPE IF NOT EXISTS AMPLITUDE.SNOWPIPE.EVENTS_PIPE
  AUTO_INGEST = TRUE
  COMMENT = 'Loads the files of events'
AS
COPY INTO AMPLITUDE.SNOWPIPE.EVENTS (
  APP, UUID, DEVICE_ID, INSERT_ID, EVENT_TIME, EVENT_TYPE, SERVER_UPLOAD_TIME, AMPLITUDE_ID, USER_ID, SESSION_ID,
  EVENT_ID, CLIENT_EVENT_TIME, CLIENT_UPLOAD_TIME, SERVER_RECEIVED_TIME, PLATFORM, OS_NAME, OS_VERSION, DEVICE_FAMILY,
  DEVICE_TYPE, DEVICE_CARRIER, VERSION_NAME, START_VERSION, LIBRARY, LANGUAGE, COUNTRY, REGION, CITY, DMA, IP_ADDRESS,
  LOCATION_LAT, LOCATION_LNG, EVENT_PROPERTIES, USER_PROPERTIES, GROUPS, GROUP_PROPERTIES, DATA, FILE, LOADED_AT
)
FROM (
  SELECT
    $1:app::NUMBER(38, 0), $1:uuid::VARCHAR, $1:device_id::VARCHAR, $1:"$insert_id"::VARCHAR,
    $1:event_time::TIMESTAMP_NTZ, $1:event_type::VARCHAR, $1:server_upload_time::TIMESTAMP_NTZ,
    $1:amplitude_id::NUMBER(38, 0), $1:user_id::VARCHAR, $1:session_id::NUMBER(38, 0), $1:event_id::NUMBER(38, 0),
    $1:client_event_time::TIMESTAMP_NTZ, $1:client_upload_time::TIMESTAMP_NTZ,
    $1:server_received_time::TIMESTAMP_NTZ, $1:platform::VARCHAR, $1:os_name::VARCHAR, $1:os_version::VARCHAR,
    $1:device_family::VARCHAR, $1:device_type::VARCHAR, $1:device_carrier::VARCHAR, $1:version_name::VARCHAR,
    $1:start_version::VARCHAR, $1:library::VARCHAR, $1:language::VARCHAR, $1:country::VARCHAR, $1:region::VARCHAR,
    $1:city::VARCHAR, $1:dma::VARCHAR, $1:ip_address::VARCHAR, $1:location_lat::FLOAT, $1:location_lng::FLOAT,
    $1:event_properties, $1:user_properties, $1:groups, $1:group_properties, $1:data, METADATA$FILENAME,
    METADATA$START_SCAN_TIME
  FROM @AMPLITUDE.SNOWPIPE.EXPORT
)
PATTERN = '.*/[0-9]+_[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{1,2}#[0-9]+[.]json[.]gz'
FILE_FORMAT = (TYPE = JSON COMPRESSION = GZIP);
