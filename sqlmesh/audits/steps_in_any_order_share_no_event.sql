AUDIT (
  name steps_in_any_order_share_no_event
);

/* As in Amplitude only ordered funnels may repeat an event. In any order it would have to be told which step an event does: two steps
 * of one type need filters of one property by different values. */
SELECT
  steps.funnel,
  steps.step,
  others.step AS other_step
FROM @this_model AS steps
JOIN @this_model AS others
  ON others.funnel = steps.funnel
  AND others.event_type = steps.event_type
  AND others.step > steps.step
WHERE
  steps.step_order = 'any'
  AND (
    steps.property_filter IS NULL
    OR others.property_filter IS NULL
    OR steps.property_filter = others.property_filter
    OR SPLIT_PART(steps.property_filter, '=', 1) <> SPLIT_PART(others.property_filter, '=', 1)
  )
