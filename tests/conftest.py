"""Settings shared by all tests."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# One machine is slow, another shared: a test is judged by what it finds, not by its clock. In CI
# the same examples come each time, so that a change fails for itself; elsewhere chance looks on.
settings.register_profile(
    "hotbed",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
settings.load_profile("hotbed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where HOTBED_REQUIRE_ALL is set (CI), what would be skipped must be there."""
    report = yield
    if report.skipped and os.environ.get("HOTBED_REQUIRE_ALL") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"HOTBED_REQUIRE_ALL is set, and the test skipped: {report.longrepr}"
    return report
