"""A project in Amplitude: its rows, what its people have made of them, and its limits."""

import functools
import threading
from datetime import datetime, timedelta

from simulator.annotations import default_annotations, default_categories
from simulator.archive import AVAILABLE_AFTER, Archive
from simulator.catalog import INACTIVE_EVENT_TYPES
from simulator.charts import Figures, figures, history
from simulator.cohorts import Cohort, Downloads, default_cohorts
from simulator.dashboard import SavedChart, default_charts
from simulator.experiments import default_experiments, default_flags
from simulator.limits import Limits
from simulator.product import Product
from simulator.taxonomy import Taxonomy


@functools.cache
def _stored(product: Product, copies: int) -> Archive:
    """Make a product's archive, once a process: simulators of the same product share it."""
    return Archive(product.members(copies))


class Project:
    """Everything that the answers depend on; a test may change any of it at any time."""

    def __init__(self, product: Product, now: datetime | None = None, copies: int = 1, timezone: str = "UTC") -> None:
        """Make the product's archive; the clock stands still at `now`, by default noon after the last day.

        With copies, it has all rows so many times under fresh ids.
        """
        self.product = product
        self.archive = _stored(product, copies)
        self.now = now or product.end + timedelta(hours=12)
        self.limits = Limits()
        self.timezone = timezone
        """An IANA name; all days of numbers are in it."""
        self.counts_late_repeats = False
        """Whether numbers count an event again that came again after more than a week.

        Amplitude's do. If not, every event counts once, so that a row too few or too many shows in the numbers.
        """
        self.inactive_event_types = set(INACTIVE_EVENT_TYPES)
        self.deleted_event_types: set[str] = set()
        self.merges: dict[int, int] = {}
        """Users whom only Amplitude knows to be others, and who they are."""
        self.saved_charts: dict[str, SavedChart] = default_charts()
        self.annotations = default_annotations(product.start, product.end)
        self.annotation_categories = default_categories()
        self.taxonomy: Taxonomy | None = Taxonomy()
        """None: the plan has none."""
        self.deletion_jobs: list[dict[str, object]] = []
        self.experiments = default_experiments(product.app, product.start)
        self.flags = default_flags(product.app, product.start)
        self.experiment_page = 2
        """The most experiments or flags on a page."""
        self.management_key = "demo-management-key"
        self.cohort_polls = 1
        """How often a download is not ready yet."""
        self.cohort_redirect_above = 1000
        """How many members an answer holds at most, in place of a link to them."""
        self.downloads = Downloads()
        self._counting = threading.Lock()

    @functools.cached_property
    def cohorts(self) -> list[Cohort]:
        """The cohorts, which at first are computed when somebody asks for them."""
        return default_cohorts(self.figures(), self.now)

    @property
    def last_available_hour(self) -> datetime:
        """The last hour that the export gives; numbers know of what came in since."""
        return self.now - AVAILABLE_AFTER

    def figures(self) -> Figures:
        """Return the numbers of the project by its settings of now."""
        inactive, deleted = frozenset(self.inactive_event_types), frozenset(self.deleted_event_types)
        with self._counting:  # or requests that come at once would each read all rows
            seen = history(self.archive, self.now, self.counts_late_repeats, frozenset(self.merges.items()))
            return figures(seen, self.timezone, inactive, deleted)
