/* Every event once. Of the copies that a client sent again only the first to arrive counts, however late the others come
 * (Amplitude drops repeats within seven days only; a later repeat arrives in the export as a row of its own). Events of different projects or apps
 * are never copies, whatever ids they share. An empty text is NULL here, so that it is no platform or country of its own. */
MODEL (
  name silver.events,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour,
    batch_size 720
  ),
  owner data,
  grain (project, app, uuid),
  signals (
    export_hours_landed()
  ),
  audits (
    not_null(
      columns := (
        project,
        app,
        uuid,
        event_key,
        export_hour,
        event_time,
        event_date,
        event_type,
        amplitude_id
      )
    ),
    unique_combination_of_columns(columns := (project, app, event_key))
  )
);

WITH ledger AS (
  /* The load whose rows of a project's hour count: the newest that dlt has finished. */
  SELECT
    hours.project,
    hours.export_hour,
    MAX(hours._dlt_load_id) AS load_id
  FROM bronze.export_hours AS hours
  JOIN bronze._dlt_loads AS loads
    ON loads.load_id = hours._dlt_load_id AND loads.status = 0
  WHERE
    hours.export_hour BETWEEN @start_ts AND @end_ts
  GROUP BY
    hours.project,
    hours.export_hour
), exported AS (
  /* Without what an unfinished load or an earlier content of an hour has left. */
  SELECT
    events.*,
    IFF(
      events.device_id <> '' AND events._insert_id <> '',
      MD5(CONCAT(LENGTH(events.device_id), ':', events.device_id, events._insert_id)),
      events.uuid
    ) AS event_key
  FROM bronze.events AS events
  JOIN ledger
    ON ledger.project = events._project
    AND ledger.export_hour = events._export_hour
    AND ledger.load_id = events._dlt_load_id
  WHERE
    events._export_hour BETWEEN @start_ts AND @end_ts
    AND events._export_hour >= @VAR('first_hour')::TIMESTAMPNTZ
), first_copies AS (
  SELECT
    *
  FROM exported
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY _project, app, event_key
      ORDER BY _export_hour, server_upload_time, uuid, _archive_file, _archive_row
    ) = 1
)
SELECT
  _project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  event_key::VARCHAR AS event_key, /* What makes copies of one event alike: device_id and insert_id, or the uuid where one is missing */
  _export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export that brought the event: the hour of its upload */
  event_time::TIMESTAMPNTZ AS event_time, /* When it happened (UTC), the client's clock corrected by Amplitude */
  @reporting_date(event_time)::DATE AS event_date, /* Its day in the reporting time zone */
  (
    event_time >= DATEADD(HOUR, 1, _export_hour)
  )::BOOLEAN AS is_from_future, /* Whether that is later than its export hour, which no true time can be: a clock was wrong */
  event_type::VARCHAR AS event_type, /* Name of the event */
  amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the event; silver.user_aliases gives the merged one */
  NULLIF(user_id, '')::VARCHAR AS user_id, /* The user's id in your product, NULL before login */
  NULLIF(device_id, '')::VARCHAR AS device_id, /* Id of the device or browser */
  NULLIF(session_id, -1)::BIGINT AS session_id, /* Start of the session in epoch milliseconds by the client's clock, NULL outside of sessions */
  NULLIF(_insert_id, '')::VARCHAR AS insert_id, /* The client's id of the event, unique within the device */
  event_id::BIGINT AS event_id, /* The client's running number of the event */
  client_event_time::TIMESTAMPNTZ AS client_event_time, /* When it happened by the client's own clock */
  client_upload_time::TIMESTAMPNTZ AS client_upload_time, /* When the client sent it by its own clock */
  server_received_time::TIMESTAMPNTZ AS server_received_time, /* When Amplitude received it (UTC) */
  server_upload_time::TIMESTAMPNTZ AS server_upload_time, /* When Amplitude stored it (UTC); the export goes by this time */
  NULLIF(platform, '')::VARCHAR AS platform, /* Web, iOS, Android; NULL for events of a server */
  NULLIF(os_name, '')::VARCHAR AS os_name, /* Operating system or browser */
  NULLIF(os_version, '')::VARCHAR AS os_version, /* Its version */
  NULLIF(device_family, '')::VARCHAR AS device_family, /* Family of the device */
  NULLIF(device_type, '')::VARCHAR AS device_type, /* Type of the device */
  NULLIF(device_carrier, '')::VARCHAR AS device_carrier, /* Mobile carrier */
  NULLIF(version_name, '')::VARCHAR AS version_name, /* Version of the app */
  NULLIF(start_version, '')::VARCHAR AS start_version, /* Version of the app that the user began with */
  NULLIF(library, '')::VARCHAR AS library, /* SDK or API that sent the event */
  NULLIF(language, '')::VARCHAR AS language, /* Language of the device */
  NULLIF(country, '')::VARCHAR AS country, /* Country, from the IP address */
  NULLIF(region, '')::VARCHAR AS region, /* Region, from the IP address */
  NULLIF(city, '')::VARCHAR AS city, /* City, from the IP address */
  NULLIF(dma, '')::VARCHAR AS dma, /* Designated market area (United States) */
  NULLIF(ip_address, '')::VARCHAR AS ip_address, /* IP address of the client */
  location_lat::DOUBLE AS location_lat, /* Latitude in degrees, where the client sent it */
  location_lng::DOUBLE AS location_lng, /* Longitude in degrees, where the client sent it */
  @parsed_json(event_properties) AS event_properties, /* The event's properties, as the client sent them */
  @parsed_json(user_properties) AS user_properties, /* The user's properties as of the event */
  @parsed_json(groups) AS groups, /* The groups that the user was in: {type: [id]} */
  @parsed_json(group_properties) AS group_properties /* Their properties: {type: {id: {}}} */
FROM first_copies AS copies
WHERE
  NOT EXISTS(
    SELECT
      1
    FROM silver.events AS earlier
    WHERE
      earlier.export_hour < @start_ts
      AND earlier.project = copies._project
      AND earlier.app = copies.app
      AND earlier.event_key = copies.event_key
  )
