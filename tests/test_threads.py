"""Work for a second processor core."""

from threading import Event, current_thread, main_thread

import pytest

from cotrain.errors import BadInput
from cotrain.threads import prepared


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order(count):
    assert list(prepared(lambda i: i * i, range(count))) == [i * i for i in range(count)]


def test_the_next_one_is_made_while_one_is_used():
    made = [Event() for _ in range(3)]

    def make(i: int) -> bool:
        made[i].set()
        return current_thread() is main_thread()

    for i, in_main_thread in enumerate(prepared(make, range(3))):
        assert not in_main_thread
        assert i == 2 or made[i + 1].wait(20)


def test_a_fault_comes_in_its_turn():
    def make(i: int) -> int:
        if i == 2:
            raise BadInput("labels.h5: damaged")
        return i

    seen = []
    with pytest.raises(BadInput, match=r"labels\.h5: damaged"):
        seen.extend(prepared(make, range(5)))
    for made in prepared(make, range(5)):
        seen.append(made)
        if made == 1:
            break
    assert seen == [0, 1, 0, 1]
