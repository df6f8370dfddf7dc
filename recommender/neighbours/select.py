"""From candidates to recommendations: the exact cut, then the vote.

Belongs here: settling each pair once the scan has left a few candidates.
Does not belong here: finding candidates (`candidates`), the rules of order and score (`voting`).
"""

import numpy as np
from numpy.typing import NDArray

from recommender.kernels.jit import kernel
from recommender.kernels.threads import run_parallel, thread_count
from recommender.neighbours.candidates import SLACK, Candidates, largest_sum, sort_out
from recommender.neighbours.scores import ExactScores, class_score
from recommender.pairs import Settled
from recommender.voting.pair_vote import Votes, booth, rank_pair
from recommender.voting.ranking import first_places


def settle(
    candidates: Candidates,
    exact: ExactScores,
    votes: Votes,
    signup: NDArray[np.int32],
    firsts: NDArray[np.int64],
    wanted: int,
    row_of_pair: NDArray[np.int64],
    settled: Settled,
    threads: int | None = None,
) -> None:
    """Cut each pair's candidates to its first `wanted` neighbours and let them vote.

    Parameters
    ----------
    candidates : Candidates
        Lists are sorted out in place.
    votes : Votes
        Likes of all users, also those of films without vector.
    signup : int32 array
        Catalogue positions of the sign-up films.
    firsts : int64 array, shape (first films,)
        Sign-up films that the rows of `candidates.slots` stand for.
    wanted : int
        Neighbours looked for: `neighbours` to begin with; `max_neighbours` to let the list grow from there.
    row_of_pair : int64 array, shape (first films, films)
        Where the pair's answer goes in `settled`.
    settled : Settled
        Changed in place.
    threads : int, optional
        Each pair is handled by one thread: the result does not depend on their number.
    """
    lists = (candidates.slots, candidates.filled, candidates.sums, candidates.classes)
    answer = (row_of_pair, settled.films, settled.votes, settled.scores, settled.summary)
    tasks = 4 * thread_count(threads)

    def work(task: int) -> None:
        _settle(
            np.arange(task, len(firsts), tasks), firsts, signup, wanted, *lists, exact, votes, booth(votes), *answer
        )

    run_parallel(work, range(tasks), threads)


@kernel
def _settle(  # type: ignore[no-untyped-def]
    own,
    firsts,
    signup,
    wanted,
    slots,
    filled,
    sums,
    classes,
    exact,
    votes,
    booth,
    row_of_pair,
    out_films,
    out_votes,
    out_scores,
    out_summary,
):
    left_out = np.zeros(2, dtype=np.int32)
    ranked = np.zeros(wanted, dtype=np.int64)
    for i in own:
        a = firsts[i]
        for b in range(a + 1, len(signup)):
            slot = slots[i, b]
            if slot < 0:
                continue
            if filled[slot] > wanted:
                sort_out(sums[slot], classes[slot], filled[slot], wanted, filled, slot)
            # only when the list has to grow does the order among the neighbours matter
            in_order = wanted > votes.data.start
            count = _neighbours(sums[slot], classes[slot], filled[slot], wanted, a, b, in_order, exact, ranked)
            left_out[0], left_out[1] = signup[a], signup[b]
            row = row_of_pair[i, b]
            out_summary[row, 0], out_summary[row, 1], out_summary[row, 2] = rank_pair(
                ranked[:count],
                a,
                b,
                left_out,
                votes,
                booth,
                out_films[row],
                out_votes[row],
                out_scores[row],
            )


@kernel
def _neighbours(sums, classes, known, wanted, a, b, in_order, exact, ranked):  # type: ignore[no-untyped-def]
    """Put the users of the first classes into `ranked`; return how many there are, at most `wanted`.

    Parameters
    ----------
    sums, classes : arrays, shape (capacity,)
    known : int
        Candidates there are.
    wanted : int
    a, b : int
        The pair, as sign-up films.
    in_order : bool
        Whether `ranked` must be in order, or need only be the right set.
    exact : ExactScores
    ranked : int64 array, shape (wanted,)
    """
    cut = _cut(sums, classes, known, wanted, exact) if not in_order else -1
    taken, uncertain = 0, 0
    for n in range(known):
        c = classes[n]
        size = exact.member_indptr[c + 1] - exact.member_indptr[c]
        if cut >= 0 and np.int64(sums[n]) >= cut + SLACK:
            for k in range(size):
                ranked[taken + k] = exact.members[exact.member_indptr[c] + k]
            taken += size
        elif cut < 0 or np.int64(sums[n]) > cut - SLACK:
            uncertain += min(size, wanted)
    users = np.empty(uncertain, dtype=np.int64)
    scores = np.empty(uncertain)
    # if all of the uncertain ones fit, nobody needs to know their scores
    compare = in_order or uncertain > wanted - taken
    filled = 0
    for n in range(known):
        c = classes[n]
        if cut >= 0 and (np.int64(sums[n]) >= cut + SLACK or np.int64(sums[n]) <= cut - SLACK):
            continue
        score = class_score(c, a, b, exact) if compare else 0.0
        for k in range(min(exact.member_indptr[c + 1] - exact.member_indptr[c], wanted)):
            users[filled] = exact.members[exact.member_indptr[c] + k]
            scores[filled] = score
            filled += 1
    room = min(wanted - taken, filled)
    if compare:
        ranked[taken : taken + room] = users[first_places(scores, users, room)]
    else:
        ranked[taken : taken + room] = users[:room]
    return taken + room


@kernel
def _cut(sums, classes, known, wanted, exact):  # type: ignore[no-untyped-def]
    """Largest sum such that candidates with at least this sum stand for `wanted` users; 0 if all stand for fewer."""
    users = 0
    for c in classes[:known]:
        users += exact.member_indptr[c + 1] - exact.member_indptr[c]
    if users == known:  # nobody is equal to anybody
        return np.int64(largest_sum(sums, known, wanted))
    users = 0
    order = np.argsort(sums[:known])
    for n in order[::-1]:
        users += exact.member_indptr[classes[n] + 1] - exact.member_indptr[classes[n]]
        if users >= wanted:
            return np.int64(sums[n])
    return np.int64(0)
