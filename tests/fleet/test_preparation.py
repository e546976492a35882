"""What a plan takes at its beginning, and what it must see to when it takes an instance away."""

from fleet.commands import AttachAdapter, Dispatch, Sleep, StartInstance
from fleet.domain import InstanceId
from tests.machines.driver import HandDriver
from tests.machines.fleets import ADAPTERS, MODELS, setup
from tests.machines.plain import Fixed, plain

PART = 2
LORA = ADAPTERS[0].id


def test_an_instance_that_goes_to_sleep_beside_a_queue_makes_room_for_another() -> None:
    """The waiting request's adapter is on its way to an instance whose slots are all taken."""
    policy = plain(keep_alive=Fixed(2.0, level=2, asleep_s=1e6))
    driver = HandDriver(setup((2,), (MODELS[PART],)), policy)
    for _ in range(3):
        driver.arrive(PART)
    driver.succeed_only(StartInstance)  # serves two; the third wants another instance
    second = driver.only(StartInstance)
    driver.succeed(next(o for o in driver.open() if isinstance(o, Dispatch)))
    driver.arrive(PART, adapter=LORA)
    driver.succeed(next(o for o in driver.open() if isinstance(o, Dispatch)))
    assert driver.only(AttachAdapter).instance == InstanceId(0)
    driver.arrive(PART)
    driver.succeed(second)
    driver.tick()
    assert driver.only(Sleep).instance == second.instance
    assert driver.only(StartInstance).model == PART
