AUDIT (
  name days_must_be_proven
);

/* The same as days_are_proven, where unproven_days in sqlmesh/config.yaml is block. */
SELECT
  *
FROM @this_model
WHERE
  verdict = 'differs' AND @unproven_days = 'block'
