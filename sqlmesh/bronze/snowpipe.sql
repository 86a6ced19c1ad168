/* The events of Amplitude's export to S3 as Snowpipe loads them: infra/snowflake/snowpipe.sql. Times are UTC, without a zone. */
MODEL (
  name bronze.exported_events,
  kind EMBEDDED,
  owner data,
  grain (project, app, uuid),
  ignored_rules ('missingaudits', 'missingunittest')
);

SELECT
  source.project::VARCHAR AS project, /* The Amplitude project that bronze_tables names */
  source.app::BIGINT AS app, /* Amplitude's number of the project */
  source.uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  source.device_id::VARCHAR AS device_id, /* Id of the device or browser */
  source.insert_id::VARCHAR AS _insert_id, /* The client's id of the event, unique within the device */
  source.event_time::TIMESTAMPNTZ AS event_time, /* When it happened (UTC), the client's clock corrected by Amplitude */
  source.event_type::VARCHAR AS event_type, /* Name of the event */
  source.server_upload_time::TIMESTAMPNTZ AS server_upload_time, /* When Amplitude stored it (UTC): its hour is the export hour */
  source.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the event */
  source.user_id::VARCHAR AS user_id, /* The user's id in your product */
  source.session_id::BIGINT AS session_id, /* Start of the session in epoch milliseconds, -1 outside of sessions */
  source.event_id::BIGINT AS event_id, /* The client's running number of the event */
  source.client_event_time::TIMESTAMPNTZ AS client_event_time, /* When it happened by the client's own clock */
  source.client_upload_time::TIMESTAMPNTZ AS client_upload_time, /* When the client sent it by its own clock */
  source.server_received_time::TIMESTAMPNTZ AS server_received_time, /* When Amplitude received it (UTC) */
  source.platform::VARCHAR AS platform, /* Web, iOS, Android */
  source.os_name::VARCHAR AS os_name, /* Operating system or browser */
  source.os_version::VARCHAR AS os_version, /* Its version */
  source.device_family::VARCHAR AS device_family, /* Family of the device */
  source.device_type::VARCHAR AS device_type, /* Type of the device */
  source.device_carrier::VARCHAR AS device_carrier, /* Mobile carrier */
  source.version_name::VARCHAR AS version_name, /* Version of the app */
  source.start_version::VARCHAR AS start_version, /* Version of the app that the user began with */
  source."LIBRARY"::VARCHAR AS library, /* SDK or API that sent the event */
  source.language::VARCHAR AS language, /* Language of the device */
  source.country::VARCHAR AS country, /* Country, from the IP address */
  source.region::VARCHAR AS region, /* Region, from the IP address */
  source.city::VARCHAR AS city, /* City, from the IP address */
  source.dma::VARCHAR AS dma, /* Designated market area (United States) */
  source.ip_address::VARCHAR AS ip_address, /* IP address of the client */
  source.location_lat::DOUBLE AS location_lat, /* Latitude in degrees */
  source.location_lng::DOUBLE AS location_lng, /* Longitude in degrees */
  source.event_properties::VARCHAR AS event_properties, /* The event's properties, as JSON text */
  source.user_properties::VARCHAR AS user_properties, /* The user's properties as of the event, as JSON text */
  source.groups::VARCHAR AS groups, /* The groups that the user was in, as JSON text */
  source.group_properties::VARCHAR AS group_properties, /* Their properties, as JSON text */
  source.data::VARCHAR AS data, /* What Amplitude notes on the row, as JSON text */
  source.server_upload_time AS found_by /* server_upload_time as the table has it, by which the warehouse finds the rows of an hour */
FROM @foreign_rows(events) AS source
