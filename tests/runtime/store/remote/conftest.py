"""A site of its own for each test, asked without the proxies of the environment."""

from collections.abc import Iterator

import pytest

from tests.runtime.store.remote.web import Site, serving


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def site() -> Iterator[Site]:
    pytest.importorskip("aiohttp", reason="fsspec reads http:// with aiohttp")
    with serving(Site()) as running:
        yield running
