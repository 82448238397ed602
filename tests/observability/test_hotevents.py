"""Which events are asked for most: counted in bounded memory, by the minute."""

from veltrix.observability.hotevents import WINDOW_S, HotEvents


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.s


def filled(into: HotEvents, **counts: int) -> HotEvents:
    """With so many accepted commands of each event."""
    for event, count in counts.items():
        for _ in range(count):
            into.count(event, "accepted")
    return into


def test_the_busiest_come_first_with_what_became_of_their_commands():
    """Events are ranked by commands; accepted and refused ones are told apart, rates are by the second."""
    hand, hot = Hand(), HotEvents()
    hot.timed(hand)
    filled(hot, a=3, b=5)
    hot.count("a", "refused")
    hot.count("a", "duplicate")
    hand.s = 10.0
    assert hot.top(5) == [
        {"event": "a", "commands": 5, "accepted": 3, "refused": 1, "per_second": 0.5},
        {"event": "b", "commands": 5, "accepted": 5, "refused": 0, "per_second": 0.5},
    ]
    assert hot.document(1)["window_s"] == 10.0
    assert [row["event"] for row in hot.document(1)["events"]] == ["a"]


def test_what_was_hot_is_forgotten_after_two_windows():
    """An event that nobody asks for any more leaves the list, a window after it left the count."""
    hand, hot = Hand(), HotEvents()
    hot.timed(hand)
    filled(hot, a=2)
    hand.s = WINDOW_S
    assert [row["event"] for row in hot.top(5)] == ["a"]
    filled(hot, b=1)
    hand.s = 2 * WINDOW_S
    assert [row["event"] for row in hot.top(5)] == ["b"]


def test_a_flood_of_events_does_not_push_out_the_hot_one():
    """With more events than there is room for, memory is bounded, and who has a real share is kept."""
    hot = filled(HotEvents(most=100), hot=500)
    for number in range(10_000):
        hot.count(f"once-{number}", "accepted")
    assert len(hot._now) <= 100
    assert hot.top(1)[0]["event"] == "hot"
    assert hot.top(1)[0]["commands"] == 500
