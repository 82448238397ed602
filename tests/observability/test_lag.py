"""How long the oldest undecided command has waited, from looks alone."""

from hypothesis import given
from hypothesis import strategies as st

from veltrix.domain import limits
from veltrix.observability.lag import Lag


def test_what_is_decided_does_not_wait():
    """An empty line has waited for nothing, whatever was in it before."""
    lag = Lag()
    assert lag.seen(0.0, 0, 0) == 0.0
    assert lag.seen(10.0, 5, 5) == 0.0
    assert lag.seen(20.0, 5, 5) == 0.0


def test_the_oldest_counts_and_not_the_newest():
    """While new commands come and nothing is decided, the first one's age grows."""
    lag = Lag()
    assert lag.seen(1.0, 0, 3) == 0.0
    assert lag.seen(2.0, 0, 6) == 1.0
    assert lag.seen(5.0, 0, 9) == 4.0
    assert lag.seen(6.0, 3, 9) == 4.0, "the fourth was first seen at 2 s"
    assert lag.seen(7.0, 8, 9) == 2.0
    assert lag.seen(8.0, 9, 9) == 0.0


def test_an_end_that_falls_back_is_no_news():
    """A broker that answers with an older end changes nothing about who waits since when."""
    lag = Lag()
    lag.seen(1.0, 0, 5)
    assert lag.seen(3.0, 0, 4) == 2.0
    assert lag.seen(4.0, 0, 5) == 3.0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=80))
def test_the_lag_is_right_to_one_look(steps):
    """Whatever is appended and decided between looks, the age is that of the oldest command's first look."""
    lag, first_seen, decided = Lag(), [], 0
    for now, (appended, done) in enumerate(steps):
        first_seen += [now] * appended
        decided = min(len(first_seen), decided + done)
        age = now - first_seen[decided] if decided < len(first_seen) else 0
        assert lag.seen(float(now), decided, len(first_seen)) == age


def test_a_long_stall_takes_bounded_memory():
    """Looks are thinned out when a stall lasts; the oldest command's age stays exact."""
    lag = Lag()
    for now in range(3 * limits.LAG_MARKS_MAX):
        assert lag.seen(float(now), 0, now + 1) == now
    assert len(lag._marks) <= limits.LAG_MARKS_MAX + 1
