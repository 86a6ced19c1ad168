"""What the doctor finds: a line for each question, with the mend where something is wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...errors import without_logins
from ..failures import FAILURES, explain, is_interrupt

DAYS, NEWEST_RUN = "proven days", "newest run"

Verdict = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Finding:
    """The answer to one question."""

    verdict: Verdict
    """`skip`: it could not be asked, because of another one."""
    check: str
    project: str | None
    """None where the question is for all projects."""
    text: str
    """What was found, and the mend where something is wrong."""


class Checkup:
    """The findings of one command, in the order in which they are found.

    Args:
        root: the repository's folder.
        show: is given each finding at once.
    """

    def __init__(self, root: Path, show: Callable[[Finding], object]) -> None:
        self.root = root
        self.findings: list[Finding] = []
        self.columns: list[str] = []
        """Of `bronze.events`, if the warehouse can be asked."""
        self._show = show

    def ok(self, check: str, text: str, project: str | None = None) -> None:
        self._note(Finding("ok", check, project, text))

    def warn(self, check: str, text: str, project: str | None = None) -> None:
        self._note(Finding("warn", check, project, text))

    def fail(self, check: str, text: str, project: str | None = None) -> None:
        self._note(Finding("fail", check, project, text))

    def skip(self, check: str, cause: str, project: str | None = None) -> None:
        """Note that a question could not be asked.

        Args:
            check: the question.
            cause: the check that stands before it.
            project: that the question is for.
        """
        self._note(Finding("skip", check, project, f"Not asked, because of `{cause}` above."))

    @contextmanager
    def asking(self, check: str, project: str | None = None) -> Iterator[None]:
        """Make a finding of what a user can mend; what comes after goes on."""
        try:
            yield
        except FAILURES as error:
            if is_interrupt(error):
                raise
            self.fail(check, explain(error, self.root), project)

    @property
    def has_failed(self) -> bool:
        """Whether anything is wrong."""
        return any(finding.verdict == "fail" for finding in self.findings)

    def _note(self, finding: Finding) -> None:
        finding = Finding(finding.verdict, finding.check, finding.project, without_logins(finding.text))
        self.findings.append(finding)
        self._show(finding)
