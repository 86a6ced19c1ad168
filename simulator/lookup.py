"""What Amplitude says of single users: their activity, who they are, and the jobs that delete them."""

from datetime import datetime

from simulator.asked import Asked, BadRequestError, as_json
from simulator.charts import Figures
from simulator.connection import Response


def user_activity(asked: Asked) -> Response:
    """Answer with the summary of a user, by one of the user's amplitude_ids; the list of events stays empty."""
    figures = asked.project.figures()
    text = asked.query.get("user", "")
    user = figures.merged.get(int(text)) if text.isascii() and text.isdigit() else None
    if user is None:
        raise BadRequestError("user must be the amplitude_id of a user.")
    events = figures.of_user(user)
    days = [figures.day(event.event_time) for event in events]
    summary = {
        "user_id": latest_user_id(figures, user),
        "canonical_amplitude_id": user,
        "merged_amplitude_ids": sorted({event.amplitude_id for event in events} - {user}),
        "num_events": len(events),
        "num_sessions": sum(session.user == user for session in figures.sessions),
        "device_ids": sorted({event.device_id for event in events}),
        "first_used": min(days),
        "last_used": max(days),
    }
    return as_json({"userData": summary, "events": []})


def user_search(asked: Asked) -> Response:
    """Answer with the merged users whose amplitude_id, user_id or device_id is the text, or whose user_id begins so."""
    text = asked.query.get("user", "")
    if not text:
        raise BadRequestError("user is missing.")
    figures = asked.project.figures()
    kind, users = _matches(figures, text)
    matches = [{"user_id": latest_user_id(figures, user), "amplitude_id": user} for user in sorted(users)]
    return as_json({"matches": matches, "type": kind})


def deletion_jobs(asked: Asked) -> Response:
    """Answer with the jobs of a range of days that delete users."""
    first, last = (_day(asked.query, name) for name in ("start_day", "end_day"))
    return as_json([job for job in asked.project.deletion_jobs if first <= str(job["day"]) <= last])


def latest_user_id(figures: Figures, user: int) -> str | None:
    """Return the user_id that the latest event with one carried."""
    carried = [(event.event_time, event.user_id) for event in figures.of_user(user) if event.user_id is not None]
    return max(carried)[1] if carried else None


def _matches(figures: Figures, text: str) -> tuple[str, set[int]]:
    """Return the kind of a match as Amplitude names it, where it is documented, and the users."""
    if text.isascii() and text.isdigit() and int(text) in figures.merged:
        return "match_amplitude_id", {figures.merged[int(text)]}
    users = figures.users_where(lambda event: text in (event.user_id, event.device_id))
    if users:
        return "match_user_or_device_id", users
    users = figures.users_where(lambda event: event.user_id is not None and event.user_id.startswith(text))
    return ("match_user_id_prefix", users) if users else ("nomatch", users)


def _day(query: dict[str, str], name: str) -> str:
    """Return a day in the form of a job's; the documentation gives two forms."""
    text = query.get(name, "")
    if len(text) in (len("20260601"), len("2026-06-01")):
        try:
            return f"{datetime.fromisoformat(text):%Y-%m-%d}"
        except ValueError:
            pass
    raise BadRequestError(f"{name} must be like 2026-06-01.")
