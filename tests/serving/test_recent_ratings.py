"""Ratings that came as events and that no release holds yet: kept by user, and what they change in lists."""

from hypothesis import given
from hypothesis import strategies as st

from serving.recent_ratings import RatingEvent, RecentRatings

EVENTS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5), st.sampled_from([0.5, 3.5, 4.0, 5.0])), max_size=40)


@given(EVENTS, st.lists(st.integers(0, 45), max_size=3), st.integers(0, 45), st.integers(0, 45))
def test_of_a_user_the_latest_rating_of_each_film_is_known(
    given: list[tuple[int, int, float]], forgotten: list[int], after: int, until: int
) -> None:
    events = [RatingEvent(seq, *values, 1000 + seq) for seq, values in enumerate(given, start=1)]
    recent = RecentRatings()
    for event in events:
        recent.add([event])
    for seq in forgotten:
        recent.forget(seq)
    lowest = max([after, *forgotten])
    for user in range(1, 6):
        expected = [e for e in events if e.user_id == user and lowest < e.seq <= until]
        found = recent.of(user, after, until)
        assert found.ratings == {e.movie_id: e.rating for e in expected}
        assert (found.seq, found.received_us) == ((expected[-1].seq, 1000 + expected[-1].seq) if expected else (0, 0))
    assert len(recent) == sum(event.seq > max([0, *forgotten]) for event in events)


def test_the_older_half_goes_when_there_are_too_many() -> None:
    recent = RecentRatings(most=100)
    for seq in range(1, 1001):
        recent.add([RatingEvent(seq, seq % 7, seq, 4.0, seq)])
        assert len(recent) <= 100
    assert sum(len(recent.of(user).ratings) for user in range(7)) == len(recent) >= 50
    assert recent.of(1000 % 7).seq == 1000
