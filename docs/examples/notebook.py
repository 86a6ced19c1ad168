"""A notebook over gold: the dashboard's copy, a query, a figure. `marimo edit docs/examples/notebook.py` opens it."""

import marimo

app = marimo.App(width="medium", app_title="Active users")


@app.cell
def _():
    import os

    import duckdb
    import marimo as mo
    import plotly.express as px

    copy = os.environ.get("AMPLITUDE_COPY", "data/demo/dashboard/amplitude.duckdb")
    return copy, duckdb, mo, px


@app.cell
def _(mo):
    mo.md("""
    # Active users by platform

    The notebook reads the copy of gold that the dashboard makes. Set `AMPLITUDE_COPY` to the path of yours.
    """)


@app.cell
def _(copy, duckdb):
    with duckdb.connect(copy, read_only=True) as connection:
        days = (
            connection.execute("""
            SELECT metric_date, segment, active_users
            FROM gold.daily_metrics
            WHERE breakdown = 'platform'
            ORDER BY metric_date, segment
        """)
            .df()
            .rename(columns=str.lower)
        )
    return (days,)


@app.cell
def _(days, px):
    px.line(days, x="metric_date", y="active_users", color="segment")


if __name__ == "__main__":
    app.run()
