"""The pages of the dashboard, one a file."""

from collections.abc import Callable, Mapping

from screens import charts, dictionary, explorer, overview, people, quality

PAGES: Mapping[str, Mapping[str, tuple[str, Callable[[], None]]]] = {
    "Product": {
        "": ("Overview", overview.page),
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
