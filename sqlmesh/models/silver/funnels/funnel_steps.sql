/* Every step of every funnel, as seeds/funnels.csv defines them: edit that file, then plan. The
 * order is 'this' (other events may lie between the steps), 'exact' (none may) or 'any'
 * (funnel-analysis-how-amplitude-computes.md). All steps of a funnel share the order and the
 * conversion window, which is from a second to 366 days long (funnel-analysis-interpret.md).
 * seeds/funnels.py checks the file and names the line of a fault. */
MODEL (
  name silver.funnel_steps,
  kind SEED (
    path '../../../seeds/funnels.csv',
    csv_settings (keep_default_na = FALSE, na_values = (
        ''
    ))
  ),
  columns (
    funnel VARCHAR,
    step BIGINT,
    event_type VARCHAR,
    property_filter VARCHAR,
    step_order VARCHAR,
    window_hours DOUBLE
  ),
  column_descriptions (
    funnel = 'Name of the funnel',
    step = 'Number of the step: 1, 2, 3, ...',
    event_type = 'Name of the event that does the step',
    property_filter = 'property=value that the event must carry, compared as text; NULL for none. One column, since a column of numbers alone would be read as such',
    step_order = 'this, exact or any',
    window_hours = 'Hours that a conversion may take from its first event to its last; a fraction will do, to the second'
  ),
  owner data,
  grain (funnel, step),
  audits (
    not_null(columns := (funnel, step, event_type, step_order, window_hours)),
    numbered_without_gaps(column := step, keys := (
      funnel
    )),
    accepted_values(column := step_order, is_in := ('any', 'this', 'exact')),
    same_in_all(columns := (step_order, window_hours), keys := (
      funnel
    )),
    forall(
      criteria := (window_hours >= 1 / 3600, window_hours <= 8784, property_filter LIKE '_%=%')
    ),
    steps_in_any_order_share_no_event
  )
)
