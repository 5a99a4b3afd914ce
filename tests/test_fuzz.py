"""A few seconds of fuzz.py on every run of the tests, with the same inputs each time."""

import fuzz
import pytest

TARGETS = fuzz.targets()


@pytest.mark.parametrize("reader", TARGETS)
def test_reader_answers_or_refuses_whatever_it_is_given(reader):
    fuzz.run(TARGETS[reader], examples=25, same=True)
    assert fuzz.COUNTS[reader] >= 25
