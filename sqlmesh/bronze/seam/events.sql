/* The events of a foreign table in the form of this pipeline's own bronze.events. A row that the table has twice is one row here. Those of a
 * run's hours are there, and some around them: only a bare column lets the warehouse skip the rest of the table. */
MODEL (
  name bronze.events,
  kind EMBEDDED,
  owner data,
  grain (_project, _export_hour, uuid),
  ignored_rules ('missingaudits', 'missingunittest')
);

WITH uploaded AS (
  SELECT
    project,
    app,
    uuid,
    device_id,
    _insert_id,
    event_time,
    event_type,
    server_upload_time,
    amplitude_id,
    user_id,
    session_id,
    event_id,
    client_event_time,
    client_upload_time,
    server_received_time,
    platform,
    os_name,
    os_version,
    device_family,
    device_type,
    device_carrier,
    version_name,
    start_version,
    library,
    language,
    country,
    region,
    city,
    dma,
    ip_address,
    location_lat,
    location_lng,
    event_properties,
    user_properties,
    groups,
    group_properties,
    data,
    DATE_TRUNC('HOUR', server_upload_time) AS export_hour
  FROM bronze.exported_events
  WHERE
    found_by BETWEEN DATEADD(HOUR, -1, @start_ts::TIMESTAMPNTZ) AND DATEADD(HOUR, 1, @end_ts::TIMESTAMPNTZ)
)
SELECT
  project AS _project, /* The Amplitude project that bronze_tables names */
  app, /* Amplitude's number of the project */
  uuid, /* Amplitude's id of the exported row */
  device_id, /* Id of the device or browser */
  _insert_id, /* The client's id of the event, unique within the device */
  event_time, /* When it happened (UTC), the client's clock corrected by Amplitude */
  event_type, /* Name of the event */
  server_upload_time, /* When Amplitude stored it (UTC): its hour is the export hour */
  amplitude_id, /* Amplitude's user as of the event */
  user_id, /* The user's id in your product */
  session_id, /* Start of the session in epoch milliseconds, -1 outside of sessions */
  event_id, /* The client's running number of the event */
  client_event_time, /* When it happened by the client's own clock */
  client_upload_time, /* When the client sent it by its own clock */
  server_received_time, /* When Amplitude received it (UTC) */
  platform, /* Web, iOS, Android */
  os_name, /* Operating system or browser */
  os_version, /* Its version */
  device_family, /* Family of the device */
  device_type, /* Type of the device */
  device_carrier, /* Mobile carrier */
  version_name, /* Version of the app */
  start_version, /* Version of the app that the user began with */
  library, /* SDK or API that sent the event */
  language, /* Language of the device */
  country, /* Country, from the IP address */
  region, /* Region, from the IP address */
  city, /* City, from the IP address */
  dma, /* Designated market area (United States) */
  ip_address, /* IP address of the client */
  location_lat, /* Latitude in degrees */
  location_lng, /* Longitude in degrees */
  event_properties, /* The event's properties, as JSON text */
  user_properties, /* The user's properties as of the event, as JSON text */
  groups, /* The groups that the user was in, as JSON text */
  group_properties, /* Their properties, as JSON text */
  data, /* What Amplitude notes on the row, as JSON text */
  export_hour AS _export_hour, /* Hour (UTC) of the upload */
  uuid AS _archive_file, /* With _archive_row, what tells rows of an hour apart */
  1 AS _archive_row, /* Always 1 */
  '-' AS _dlt_load_id /* Of the only load that there is */
FROM uploaded
QUALIFY
  ROW_NUMBER() OVER (PARTITION BY project, export_hour, uuid ORDER BY event_time, event_type) = 1
