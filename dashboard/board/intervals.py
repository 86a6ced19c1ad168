"""Days, weeks and months. A page shows the whole intervals that hold the days of the view, as charts do."""

from board.view import View

UNITS = ("day", "week", "month")
ADVERBS = {"day": "daily", "week": "weekly", "month": "monthly"}
"""By which gold names its tables."""


def column(unit: str) -> str:
    """Return the column of gold.days with the first day of an interval."""
    return "date" if unit == "day" else unit


def starts(view: View, unit: str) -> str:
    """Return the query of the first days of the intervals."""
    return f"SELECT {column(unit)} FROM gold.days WHERE {view.within('date')}"


def intervals(view: View, unit: str) -> str:
    """Return the query of the intervals' days: `start_date` of the interval, `date`, and whether all of it is there."""
    start = column(unit)
    return f"""
        SELECT {start} AS start_date, date,
          MIN(IFF(is_complete, 1, 0)) OVER (PARTITION BY {start}) = 1
            AND MIN(date) OVER (PARTITION BY {start}) = {start}
            AND DATEADD({unit}, 1, {start})::DATE
              = DATEADD(DAY, 1, MAX(date) OVER (PARTITION BY {start}))::DATE AS is_complete
        FROM gold.days
        WHERE {view.of_app} AND {start} IN ({starts(view, unit)})
    """
