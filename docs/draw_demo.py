"""Draw `images/active-users.svg`, README's picture, from the gold tables of the demo.

Run `make demo` first, then `python docs/draw_demo.py`.
"""

from datetime import date
from typing import NamedTuple

import duckdb

from generated import ROOT

DATABASE = ROOT / "data" / "demo" / "amplitude.duckdb"
PICTURE = ROOT / "docs" / "images" / "active-users.svg"
WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 110, 20, 40
LINES = (
    ("monthly_active_users", "monthly", "#9aa5b1"),
    ("weekly_active_users", "weekly", "#3e7cb1"),
    ("active_users", "daily", "#1e61f0"),
)
QUERY = f"""
    SELECT metric_date, {", ".join(column for column, _, _ in LINES)}
    FROM gold.daily_metrics
    WHERE breakdown = 'all'
    ORDER BY metric_date
"""


class Scale(NamedTuple):
    """From days and numbers of users to places in the picture."""

    days: int
    users: int

    def x(self, day: int) -> float:
        return round(LEFT + day * (WIDTH - LEFT - RIGHT) / (self.days - 1), 1)

    def y(self, users: int) -> float:
        return round(HEIGHT - BOTTOM - users * (HEIGHT - TOP - BOTTOM) / self.users, 1)


def main() -> None:
    with duckdb.connect(str(DATABASE), read_only=True) as connection:
        rows = connection.execute(QUERY).fetchall()
    PICTURE.write_text(picture([row[0] for row in rows], [[row[n + 1] for row in rows] for n in range(len(LINES))]))


def picture(dates: list[date], series: list[list[int]]) -> str:
    """Return the picture as SVG: a line for each series, with grid, days and names."""
    step = 1_000
    scale = Scale(len(dates), -(-max(map(max, series)) // step) * step)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#52606d" role="img" aria-label="Active users by day">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for users in range(0, scale.users + 1, step):
        y = scale.y(users)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#e4e7eb"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{users:,}</text>')
    for day in range(0, len(dates), 7):
        parts.append(f'<text x="{scale.x(day)}" y="{HEIGHT - 16}" text-anchor="middle">{dates[day]:%d %b}</text>')
    for values, (_, name, color) in zip(series, LINES, strict=True):
        points = " ".join(f"{scale.x(day)},{scale.y(users)}" for day, users in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT + 8}" y="{scale.y(values[-1]) + 4}" fill="{color}">{name} {values[-1]:,}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    main()
