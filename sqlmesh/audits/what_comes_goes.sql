AUDIT (
  name what_comes_goes
);

/* In a table of edges as much goes out of each node as comes into it; what comes out of (start) goes into (end). */
WITH ends AS (
  SELECT
    @EACH(@keys, key -> key),
    IFF(@source = '(start)', '(end)', @source) AS node,
    @amount AS flow
  FROM @this_model
  UNION ALL
  SELECT
    @EACH(@keys, key -> key),
    @target AS node,
    -@amount AS flow
  FROM @this_model
)
SELECT
  @EACH(@keys, key -> key),
  node,
  SUM(flow) AS balance
FROM ends
GROUP BY
  @EACH(@keys, key -> key),
  node
HAVING
  SUM(flow) <> 0
