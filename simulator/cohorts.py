"""Behavioral cohorts: their list, and the download of one's members in three steps."""

import csv
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from simulator.asked import Asked, BadRequestError, as_json, not_found
from simulator.catalog import ORDER_COMPLETED, SEARCHED
from simulator.charts import Figures
from simulator.connection import Response
from simulator.faults import COHORT_LINK
from simulator.lookup import latest_user_id

_LINK_SECONDS = 60


@dataclass
class Cohort:
    """A cohort as it was computed last."""

    id: str
    name: str
    members: set[int]
    computed_at: datetime
    """In UTC, without a time zone."""
    description: str = ""
    archived: bool = False


@dataclass
class _Download:
    cohort: Cohort
    members: frozenset[int]
    polls: int = 0


class Downloads:
    """The requests for cohorts, and the links to their files; any thread may ask."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._downloads: dict[str, _Download] = {}
        self._links: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def start(self, cohort: Cohort) -> str:
        """Request the members that a cohort has now; return the id of the request."""
        with self._lock:
            request_id = f"req{next(self._numbers):04}"
            self._downloads[request_id] = _Download(cohort, frozenset(cohort.members))
        return request_id

    def find(self, request_id: str) -> _Download | None:
        """Return what was requested under an id."""
        return self._downloads.get(request_id)

    def poll(self, download: _Download) -> int:
        """Count a question for the status, and return how many there have been."""
        with self._lock:
            download.polls += 1
            return download.polls

    def make_link(self, request_id: str, now: float) -> str:
        """Return a word for a link to the file, which is valid from now on for a minute."""
        with self._lock:
            word = f"{request_id}-{next(self._numbers):04}"
            self._links[word] = (request_id, now + _LINK_SECONDS)
        return word

    def follow(self, word: str, now: float) -> _Download | None:
        """Return what a link leads to, as long as it is valid."""
        request_id, valid_until = self._links.get(word, ("", now))
        return self.find(request_id) if now < valid_until else None


def default_cohorts(figures: Figures, computed_at: datetime) -> list[Cohort]:
    """Return the cohorts that a project has at first: who has ordered, and who has searched, an archived one."""
    ordered, searched = ({*_everybody(figures, name)} for name in (ORDER_COMPLETED, SEARCHED))
    return [
        Cohort("buyers01", "Customers", ordered, computed_at, "Users with at least one order."),
        Cohort("search01", "Searchers", searched, computed_at, archived=True),
    ]


def cohorts(asked: Asked) -> Response:
    """Answer with all cohorts."""
    return as_json({"cohorts": [_listed(cohort, asked.project.product.app) for cohort in asked.project.cohorts]})


def request(asked: Asked) -> Response:
    """Begin the download of a cohort."""
    if asked.query.get("props", "0") != "0":
        raise BadRequestError("The simulator does not serve cohorts with properties.")
    cohort = next((cohort for cohort in asked.project.cohorts if cohort.id == asked.id), None)
    if cohort is None:
        return not_found(f"There is no cohort {asked.id}.")
    return as_json({"request_id": asked.project.downloads.start(cohort), "cohort_id": cohort.id}, 202)


def status(asked: Asked) -> Response:
    """Answer whether a download is ready; each question brings it nearer to that."""
    download = asked.project.downloads.find(asked.id)
    if download is None:
        return not_found(f"There is no request {asked.id}.")
    is_done = asked.project.downloads.poll(download) > asked.project.cohort_polls
    content = {
        "request_id": asked.id,
        "cohort_id": download.cohort.id,
        "async_status": "JOB COMPLETED" if is_done else "JOB INPROGRESS",
    }
    return as_json(content, 200 if is_done else 202)


def file(asked: Asked) -> Response:
    """Answer with the members, or with a link to them if they are many."""
    project = asked.project
    download = project.downloads.find(asked.id)
    if download is None:
        return not_found(f"There is no request {asked.id}.")
    if download.polls <= project.cohort_polls:
        return not_found(f"The request {asked.id} is not ready.")
    if len(download.members) > project.cohort_redirect_above:
        word = project.downloads.make_link(asked.id, project.limits.clock())
        return Response(302, location=COHORT_LINK.format(id=word))
    return _csv(asked, download.members)


def link(asked: Asked) -> Response:
    """Answer with the members behind a link, or a 403 once it is no longer valid."""
    download = asked.project.downloads.follow(asked.id, asked.project.limits.clock())
    if download is None:
        return Response(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
    return _csv(asked, download.members)


def _everybody(figures: Figures, event_type: str) -> Iterator[int]:
    for users in figures.users(event_type).values():
        yield from users


def _csv(asked: Asked, members: frozenset[int]) -> Response:
    figures = asked.project.figures()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("amplitude_id", "user_id"))
    writer.writerows((member, latest_user_id(figures, member) or "") for member in sorted(members))
    return Response(200, text.getvalue().encode(), "text/csv")


def _listed(cohort: Cohort, app: int) -> dict[str, object]:
    computed_at = int(cohort.computed_at.replace(tzinfo=UTC).timestamp())
    return {
        "appId": app,
        "archived": cohort.archived,
        "definition": {"version": 3, "andClauses": [], "cohortType": "UNIQUES", "referenceFrameTimeParams": {}},
        "description": cohort.description,
        "finished": True,
        "id": cohort.id,
        "name": cohort.name,
        "owners": ["analyst@example.com"],
        "viewers": [],
        "published": True,
        "size": len(cohort.members),
        "type": "redshift",
        "lastMod": computed_at,
        "createdAt": computed_at,
        "lastComputed": computed_at,
        "hidden": False,
        "metadata": None,
        "view_count": None,
        "popularity": None,
        "last_viewed": None,
        "chart_id": None,
        "edit_id": None,
        "is_predictive": False,
        "is_official_content": False,
        "location_id": None,
        "shortcut_ids": [],
        "syncMetadata": [],
    }
