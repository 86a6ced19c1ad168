AUDIT (
  name days_are_proven,
  blocking FALSE
);

/* A day that is over has as many events here as in Amplitude. Else rows are missing, or Amplitude counts by another rule: likely_cause says which. */
SELECT
  *
FROM @this_model
WHERE
  verdict = 'differs'
