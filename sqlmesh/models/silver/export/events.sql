/* Every event once. Two rules leave out a row that repeats the device_id and insert_id of an earlier event of its project and app:
 * - Amplitude's rule (apis/http-v2, "Event deduplication"): the event was uploaded no more than 7 days before. Type and time do not matter.
 * - Ours: the row has the event's type and time, too. It is a copy, however late it comes. Amplitude counts a copy that comes after 7 days.
 * A row with other contents after 7 days is an event of its own. Rows without both ids are compared by their uuid. The rows of a batch are less than
 * 7 days apart (batch_size), or have no ids of two events (transform/row_batches.py), so a batch holds at most one event of the same ids. An empty
 * text is NULL here, so that it is no platform or country of its own. */
MODEL (
  name silver.events,
  kind INCREMENTAL_BY_TIME_RANGE (
    time_column export_hour,
    batch_size 168
  ),
  owner data,
  grain (project, app, uuid),
  signals (
    export_hours_landed()
  ),
  audits (
    rows_are_sound(
      keys := (project, app, event_key),
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
    )
  )
);

WITH ledger AS (
  SELECT
    project,
    export_hour,
    _dlt_load_id AS load_id,
    MIN(export_hour) OVER (PARTITION BY project) AS first_hour
  FROM @counted_hours() AS hours
  WHERE
    export_hour BETWEEN @VAR('first_hour')::TIMESTAMPNTZ AND @end_ts
), exported AS (
  /* Without what an unfinished load or an earlier content of an hour has left. Only what tells copies apart, because sorting whole rows would take
   * most of the model's time. */
  SELECT
    events._project,
    events.app,
    events.uuid,
    events._export_hour,
    events._dlt_load_id,
    events._archive_file,
    events._archive_row,
    events.server_upload_time,
    ledger.first_hour,
    COALESCE(events.server_upload_time, events._export_hour) AS uploaded_at,
    IFF(events.device_id <> '' AND events._insert_id <> '', events.device_id, NULL) AS copied_device_id,
    IFF(events.device_id <> '' AND events._insert_id <> '', events._insert_id, events.uuid) AS copied_id,
    IFF(
      events.device_id <> '' AND events._insert_id <> '',
      MD5(
        CONCAT(
          LENGTH(events.device_id),
          ':',
          events.device_id,
          LENGTH(events._insert_id),
          ':',
          events._insert_id,
          DATEDIFF(MICROSECOND, '1970-01-01'::TIMESTAMPNTZ, events.event_time),
          ':',
          events.event_type
        )
      ),
      events.uuid
    ) AS event_key
  FROM bronze.events AS events
  JOIN ledger
    ON ledger.project = events._project
    AND ledger.export_hour = events._export_hour
    AND ledger.load_id = events._dlt_load_id
  WHERE
    events._export_hour BETWEEN @start_ts AND @end_ts
), recent AS (
  /* The last upload, before the run, of an event with the ids of a row. A day more than 7 is read, because hours are whole. */
  SELECT
    events.project,
    events.app,
    events.device_id,
    events.insert_id,
    MAX(COALESCE(events.server_upload_time, events.export_hour)) AS uploaded_at
  FROM silver.events AS events
  JOIN exported
    ON exported._project = events.project
    AND exported.app = events.app
    AND exported.copied_device_id = events.device_id
    AND exported.copied_id = events.insert_id
  WHERE
    events.export_hour < @start_ts
    AND events.export_hour >= DATEADD(DAY, -8, @start_ts)
  GROUP BY
    events.project,
    events.app,
    events.device_id,
    events.insert_id
), first_copies AS (
  SELECT
    exported.*
  FROM exported
  LEFT JOIN recent
    ON recent.project = exported._project
    AND recent.app = exported.app
    AND recent.device_id = exported.copied_device_id
    AND recent.insert_id = exported.copied_id
  WHERE
    (
      recent.uploaded_at IS NULL
      OR exported.uploaded_at > DATEADD(DAY, 7, recent.uploaded_at)
    )
    AND NOT EXISTS(
      SELECT
        1
      FROM silver.events AS earlier
      WHERE
        earlier.export_hour < @start_ts
        AND earlier.project = exported._project
        AND earlier.app = exported.app
        AND earlier.event_key = exported.event_key
    )
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY exported._project, exported.app, exported.copied_device_id, exported.copied_id
      ORDER BY exported._export_hour, exported.server_upload_time, exported.uuid, exported._archive_file, exported._archive_row
    ) = 1
), new_events AS (
  SELECT
    events.*,
    first_copies.event_key,
    first_copies.first_hour
  FROM bronze.events AS events
  JOIN first_copies
    ON first_copies._project = events._project
    AND first_copies._export_hour = events._export_hour
    AND first_copies._dlt_load_id = events._dlt_load_id
    AND first_copies._archive_file = events._archive_file
    AND first_copies._archive_row = events._archive_row
  WHERE
    events._export_hour BETWEEN @start_ts AND @end_ts
)
SELECT
  _project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  app::BIGINT AS app, /* Amplitude's number of the project */
  uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  event_key::VARCHAR AS event_key, /* What copies of one event share: a hash of device_id, insert_id, type and time; or the uuid where one of the ids is missing */
  _export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export that brought the event: the hour of its upload */
  event_time::TIMESTAMPNTZ AS event_time, /* When it happened (UTC), the client's clock corrected by Amplitude */
  @reporting_date(event_time)::DATE AS event_date, /* Its day in the reporting time zone */
  (
    event_time >= DATEADD(HOUR, 1, _export_hour)
  )::BOOLEAN AS is_from_future, /* Whether that is later than its export hour, which no true time can be: a clock was wrong */
  (
    @reporting_date(event_time) < @reporting_date(first_hour)
  )::BOOLEAN AS is_before_export, /* Whether its day lies before the project's first export hour: late, backfilled or by a wrong clock; no chart shows the day */
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
FROM new_events
