"""Every loader has its turn in every round, in an order that the seed draws."""

from runtime.bench.load.checkpoints import BASES, adapter
from runtime.bench.load.plan import STORE, Step, formats, shuffled, steps
from runtime.loaders.formats import Format

LOADERS: dict[str, frozenset[Format]] = {
    "safetensors": frozenset({"safetensors", "huggingface"}),
    "torch": frozenset({"torch"}),
    "from_pretrained": frozenset({"huggingface"}),
}
WITH_STORE: dict[str, frozenset[Format]] = {STORE: frozenset({"hotbed"}), **LOADERS}
BASE = BASES["5m"]
ADAPTER = adapter(8)


def test_each_loader_is_measured_cold_and_warm_beside_its_ceiling() -> None:
    found = steps(BASE, LOADERS, concurrent=True)
    assert {(one.loader, one.hop, one.beside) for one in found} == {
        (name, hop, beside)
        for name in LOADERS
        for hop, beside in (("ssd", "disk"), ("page_cache", "page_cache"))
    }
    assert len(found) == 2 * len(LOADERS)


def test_an_adapter_is_no_model_to_build() -> None:
    assert {one.loader for one in steps(ADAPTER, LOADERS, concurrent=False)} == {
        "safetensors",
        "torch",
    }


def test_the_store_is_measured_in_all_that_it_does() -> None:
    of_a_base = steps(BASE, WITH_STORE, concurrent=True)
    assert {one.work for one in of_a_base} == {None, "import", "import_cold", "pool"}
    assert [one.concurrent for one in of_a_base if one.concurrent > 1] == [2, 3, 4]
    assert all(one.concurrent == 1 for one in steps(BASE, WITH_STORE, concurrent=False))
    assert {one.work for one in steps(ADAPTER, WITH_STORE, concurrent=False)} == {None, "attach"}


def test_only_what_is_read_is_written() -> None:
    assert formats(BASE, LOADERS) == ("huggingface", "torch")
    assert formats(BASE, {"from_pretrained": LOADERS["from_pretrained"]}) == ("huggingface",)
    assert formats(BASE, WITH_STORE) == ("huggingface", "hotbed", "torch")


def test_the_order_is_the_seed_s_and_another_in_every_round() -> None:
    listed = steps(BASE, WITH_STORE, concurrent=True)
    first = shuffled(listed, 0, BASE.name, 1)
    assert first == shuffled(listed, 0, BASE.name, 1)
    assert first != shuffled(listed, 0, BASE.name, 2)
    assert first != shuffled(listed, 1, BASE.name, 1)
    assert sorted(map(repr, first)) == sorted(map(repr, listed))


def test_a_step_says_what_it_is() -> None:
    assert Step("load", "runai", "safetensors", "ssd", "disk").words() == "runai cold"
    at_once = Step("together", STORE, "hotbed", "ssd", "disk", concurrent=3)
    assert at_once.words() == "hotbed cold x3"
    imported = Step("import", STORE, "safetensors", "page_cache", "disk_write", work="import")
    assert imported.words() == "import warm"


def test_beside_what_the_pool_gives_is_the_link_of_the_device() -> None:
    for device, link in (("cpu", "memcpy"), ("cuda:0", "pcie")):
        found = steps(ADAPTER, WITH_STORE, concurrent=False, device=device)
        assert {one.beside for one in found if one.hop == "dram" and one.beside} == {link}
