"""The fixtures of the REST resources."""

import pytest

from simulator.server import Simulator
from support.project import Project


@pytest.fixture
def asking(project: Project, simulator: Simulator) -> Project:
    """A checkout that asks for every resource."""
    del project.env["SOURCES__AMPLITUDE__REST_RESOURCES"]
    project.env |= {
        "SOURCES__AMPLITUDE__COHORTS": '["all"]',
        "SOURCES__AMPLITUDE__EXPERIMENT_KEY": simulator.management_key,
        "SOURCES__AMPLITUDE__EXPERIMENT_URL": simulator.base_url,
    }
    return project
