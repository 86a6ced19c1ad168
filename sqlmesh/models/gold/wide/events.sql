/* The wide view: every event with its session, its user after merging and its device. Events from the future stay out until the export has
 * reached their day. */
MODEL (
  name gold.events,
  kind VIEW,
  cron '@daily',
  start @day_before_first_hour,
  owner data,
  grain (project, app, uuid),
  audits (
    not_null(
      columns := (project, app, uuid, event_date, canonical_amplitude_id, is_active, is_in_session)
    )
  )
);

SELECT
  events.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  events.app::BIGINT AS app, /* Amplitude's number of the project */
  events.uuid::VARCHAR AS uuid, /* Amplitude's id of the exported row */
  events.event_time::TIMESTAMPNTZ AS event_time, /* When it happened (UTC), the client's clock corrected by Amplitude */
  events.event_date::DATE AS event_date, /* Its day in the reporting time zone */
  @reporting_hour(events.event_time)::TIMESTAMPNTZ AS event_hour, /* Time (UTC) at which its hour began by the clocks there */
  COALESCE(events.client_event_time, events.event_time)::TIMESTAMPNTZ AS client_event_time, /* When it happened by the client's own clock (UTC), by which sessions are measured */
  events.is_before_export::BOOLEAN AS is_before_export, /* Whether that day lies before the project's first export hour; no chart shows it */
  events.event_type::VARCHAR AS event_type, /* Name of the event */
  (
    NOT types.non_active
  )::BOOLEAN AS is_active, /* Whether its type makes a user active */
  aliases.canonical_amplitude_id::BIGINT AS canonical_amplitude_id, /* The user after merging, by which users are counted */
  users.user_id::VARCHAR AS user_id, /* The merged user's id in your product, NULL for an anonymous user */
  users.first_seen_at::TIMESTAMPNTZ AS user_first_seen_at, /* Time of the first event of the merged user's own id (UTC) */
  events.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user as of the event, not merged */
  events.device_id::VARCHAR AS device_id, /* Id of the device or browser */
  devices.device_family::VARCHAR AS device_family, /* Family of the device by its latest event */
  devices.device_type::VARCHAR AS device_type, /* Type of the device by its latest event */
  events.session_id::BIGINT AS session_id, /* Start of the session in epoch milliseconds by the client's clock, NULL outside of sessions */
  (
    NOT events.session_id IS NULL AND NOT types.non_active AND NOT types.deleted
  )::BOOLEAN AS is_in_session, /* Whether a session counts it: it has one, and its type is neither inactive nor deleted */
  sessions.session_started_at::TIMESTAMPNTZ AS session_started_at, /* Time of the session's first active event (UTC) */
  sessions.session_seconds::DOUBLE AS session_seconds, /* Length of the session in seconds */
  sessions.session_number::BIGINT AS session_number, /* 1 for the merged user's first session, 2 for the next */
  sessions.entry_page::VARCHAR AS entry_page, /* Path of the session's first page, NULL in an app */
  sessions.source::VARCHAR AS source, /* First utm_source of the session, NULL for none */
  sessions.medium::VARCHAR AS medium, /* First utm_medium of the session, NULL for none */
  sessions.campaign::VARCHAR AS campaign, /* First utm_campaign of the session, NULL for none */
  events.platform::VARCHAR AS platform, /* Web, iOS, Android; NULL for events of a server */
  events.os_name::VARCHAR AS os_name, /* Operating system or browser */
  events.os_version::VARCHAR AS os_version, /* Its version */
  events.version_name::VARCHAR AS version_name, /* Version of the app */
  events.language::VARCHAR AS language, /* Language of the device */
  events.country::VARCHAR AS country, /* Country, from the IP address */
  events.region::VARCHAR AS region, /* Region, from the IP address */
  events.city::VARCHAR AS city, /* City, from the IP address */
  library::VARCHAR AS library, /* SDK or API that sent the event */
  events.export_hour::TIMESTAMPNTZ AS export_hour, /* Hour (UTC) of the export that brought the event */
  @revenue(events)::DOUBLE AS revenue, /* $revenue; or else $price times $quantity, but of revenue_amount; or else the property revenue */
  @channel_group(events)::VARCHAR AS channel_group, /* The channel that brought the user, as of the event, by seeds/channel_groups.csv */
  COALESCE(
    @property_text(events.event_properties, '[Amplitude] Page Path'),
    @property_text(events.event_properties, '[Amplitude] Screen Name')
  )::VARCHAR AS page, /* Path of the page, or name of the screen, by Amplitude's SDKs; NULL for neither */
  events.event_properties, /* The event's properties, as the client sent them */
  events.user_properties, /* The user's properties as of the event */
  events.groups, /* The groups that the user was in: {type: [id]} */
  @property_columns(events)
FROM @with_touches(silver.events) AS events
JOIN silver.apps AS apps
  ON apps.project = events.project
  AND apps.app = events.app
  AND events.event_date <= apps.frontier_date
JOIN silver.event_types AS types
  ON types.project = events.project AND types.event_type = events.event_type
JOIN silver.user_aliases AS aliases
  ON aliases.project = events.project
  AND aliases.app = events.app
  AND aliases.amplitude_id = events.amplitude_id
JOIN silver.users AS users
  ON users.project = aliases.project
  AND users.app = aliases.app
  AND users.amplitude_id = aliases.canonical_amplitude_id
LEFT JOIN silver.devices AS devices
  ON devices.project = events.project
  AND devices.app = events.app
  AND devices.device_id = events.device_id
LEFT JOIN silver.sessions AS sessions
  ON sessions.project = events.project
  AND sessions.app = events.app
  AND sessions.amplitude_id = aliases.canonical_amplitude_id
  AND sessions.session_id = events.session_id
