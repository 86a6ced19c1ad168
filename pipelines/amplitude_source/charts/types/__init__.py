"""The types of charts: for each a model, which says what its file may hold, and the query that it becomes."""
