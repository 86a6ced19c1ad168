/* Whom Amplitude itself has merged, by its merge feed, and in whom each chain of merges ends. The
 * command load-merges loads the feed; without it there is no row.
 * If a user was merged more than once, the latest merge_server_time counts. A chain is followed
 * for 64 merges. Users who merge in a circle are one, under the smallest of their ids. When a
 * project's feed has a new row, all its chains are resolved anew. */
MODEL (
  name silver.merges,
  kind INCREMENTAL_UNMANAGED (
    forward_only FALSE,
    disable_restatement FALSE
  ),
  signals (
    parents_have_run()
  ),
  owner data,
  depends_on (
    silver.events
  ), /* so that it takes in the same hours, and is restated with it */
  grain (project, amplitude_id, merged_amplitude_id),
  audits (
    rows_are_sound(
      keys := (project, amplitude_id, merged_amplitude_id),
      columns := (
        project,
        amplitude_id,
        merged_amplitude_id,
        merge_server_time,
        final_amplitude_id,
        effective_hour
      ),
      condition := effective_hour BETWEEN @start_ts AND @end_ts
    )
  )
);

@delete_touched((
  project
), @touched_feeds(@start_ts, @end_ts), @start_ts);

WITH RECURSIVE feed AS (
  SELECT
    feed._project AS project,
    feed.amplitude_id,
    feed.merged_amplitude_id,
    feed.merge_event_time,
    feed.merge_server_time,
    feed._effective_hour AS effective_hour
  FROM bronze.merge_ids AS feed
  WHERE
    feed._effective_hour <= @end_ts
    AND @of_run((
      feed._project
    ), @touched_feeds(@start_ts, @end_ts), @start_ts)
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY feed._project, feed.amplitude_id, feed.merged_amplitude_id
      ORDER BY feed.merge_server_time DESC, feed.merge_event_time DESC, feed._effective_hour
    ) = 1
), latest AS (
  SELECT
    *
  FROM feed
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY project, amplitude_id
      ORDER BY merge_server_time DESC, merge_event_time DESC, merged_amplitude_id
    ) = 1
), chains AS (
  SELECT
    project,
    amplitude_id,
    merged_amplitude_id AS reached_amplitude_id,
    1::BIGINT AS merges,
    effective_hour
  FROM latest
  UNION ALL
  SELECT
    chains.project,
    chains.amplitude_id,
    latest.merged_amplitude_id AS reached_amplitude_id,
    chains.merges + 1 AS merges,
    latest.effective_hour
  FROM chains
  JOIN latest
    ON latest.project = chains.project
    AND latest.amplitude_id = chains.reached_amplitude_id
    AND chains.merges < 64
), ends AS (
  /* A chain that goes on for so long is in a circle, and has been through all of it. */
  SELECT
    project,
    amplitude_id,
    IFF(
      MAX(merges) < 64,
      MAX_BY(reached_amplitude_id, merges),
      MIN(IFF(merges > 32, reached_amplitude_id, NULL))
    ) AS final_amplitude_id,
    MAX(effective_hour) AS effective_hour
  FROM chains
  GROUP BY
    project,
    amplitude_id
)
SELECT
  feed.project::VARCHAR AS project, /* The Amplitude project, as named in the settings */
  feed.amplitude_id::BIGINT AS amplitude_id, /* Amplitude's user who was merged */
  feed.merged_amplitude_id::BIGINT AS merged_amplitude_id, /* The user that it was merged into, its original */
  feed.merge_event_time::TIMESTAMPNTZ AS merge_event_time, /* Time of the event that merged them (UTC); the latest, had the feed the merge several times */
  feed.merge_server_time::TIMESTAMPNTZ AS merge_server_time, /* When Amplitude's server merged them (UTC) */
  (
    NOT latest.amplitude_id IS NULL
  )::BOOLEAN AS is_latest, /* Whether this is the merge of the user that counts */
  ends.final_amplitude_id::BIGINT AS final_amplitude_id, /* The user in whom the chain of merges ends that begins with amplitude_id */
  ends.effective_hour::TIMESTAMPNTZ AS effective_hour /* Export hour (UTC) from which on the chain counts as it is */
FROM feed
JOIN ends
  ON ends.project = feed.project AND ends.amplitude_id = feed.amplitude_id
LEFT JOIN latest
  ON latest.project = feed.project
  AND latest.amplitude_id = feed.amplitude_id
  AND latest.merged_amplitude_id = feed.merged_amplitude_id
