"""The pages of the dashboard, one a file."""

from collections.abc import Callable, Mapping

from screens import (
    behaviour,
    charts,
    dictionary,
    explorer,
    funnels,
    growth,
    overview,
    people,
    quality,
    retention,
    revenue,
)

PAGES: Mapping[str, Mapping[str, tuple[str, Callable[[], None]]]] = {
    "Product": {
        "": ("Overview", overview.page),
        "growth": ("Growth", growth.page),
        "retention": ("Retention", retention.page),
        "funnels": ("Funnels", funnels.page),
        "behaviour": ("Behaviour", behaviour.page),
        "revenue": ("Revenue", revenue.page),
    },
    "Questions": {
        "charts": ("Charts", charts.page),
        "explorer": ("Explorer", explorer.page),
        "people": ("People", people.page),
    },
    "Data": {
        "quality": ("Data quality", quality.page),
        "dictionary": ("Dictionary", dictionary.page),
    },
}
"""By the sections of the menu and the addresses: titles, and what draws the pages."""
