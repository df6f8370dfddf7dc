"""From candidates to recommendations: the exact cut, then the vote.

Belongs here: settling each pair once the scan has left a few candidates.
Does not belong here: finding candidates (`candidates`), the rules of order and vote (`ranking`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.data.model_data import Neighbourhood
from recommender.kernels.jit import kernel
from recommender.kernels.threads import run_parallel, thread_count
from recommender.neighbours.candidates import SLACK, Candidates, largest_sum, sort_out
from recommender.neighbours.scores import ExactScores, class_score
from recommender.voting.ballots import Ballots, winners_by_bits
from recommender.voting.ranking import count_votes, first_places


@dataclass(frozen=True)
class Settled:
    """Winners of some pairs; rows are pairs in the order (first film, second film).

    Attributes
    ----------
    films, votes : int32 arrays, shape (pairs, per_pair)
        Catalogue positions and votes, best first.
    summary : int32 array, shape (pairs, 2)
        Films found, neighbours used.
    """

    films: NDArray[np.int32]
    votes: NDArray[np.int32]
    summary: NDArray[np.int32]


def no_answers(pairs: int, per_pair: int) -> Settled:
    """Return answers still to be filled in; zeros."""
    return Settled(
        np.zeros((pairs, per_pair), dtype=np.int32),
        np.zeros((pairs, per_pair), dtype=np.int32),
        np.zeros((pairs, 2), dtype=np.int32),
    )


def settle(
    candidates: Candidates,
    exact: ExactScores,
    neighbourhood: Neighbourhood,
    ballots: Ballots,
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
    exact : ExactScores
    neighbourhood : Neighbourhood
        Its likes, also those of films without vector, are what is counted.
    ballots : Ballots
        The same likes.
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
    parameters, likes = neighbourhood.parameters, neighbourhood.likes
    rules = (neighbourhood.neighbours, parameters.neighbour_step, wanted)
    lists = (candidates.slots, candidates.filled, candidates.sums, candidates.classes)
    answer = (row_of_pair, settled.films, settled.votes, settled.summary, len(neighbourhood.catalogue.movie_ids))
    tasks = 4 * thread_count(threads)

    def work(task: int) -> None:
        own = np.arange(task, len(firsts), tasks)
        _settle(
            own, firsts, signup, rules, *lists, exact, likes.indptr, likes.films, ballots.bits, ballots.own, *answer
        )

    run_parallel(work, range(tasks), threads)


@kernel
def _settle(  # type: ignore[no-untyped-def]
    own,
    firsts,
    signup,
    rules,
    slots,
    filled,
    sums,
    classes,
    exact,
    indptr,
    films,
    bits,
    own_words,
    row_of_pair,
    out_films,
    out_votes,
    out_summary,
    catalogue_size,
):
    start, step, wanted = rules
    counters = np.zeros(catalogue_size, dtype=np.int32)
    reached = np.zeros(wanted + 2, dtype=np.int64)
    left_out = np.zeros(2, dtype=np.int32)
    ranked = np.zeros(wanted, dtype=np.int64)
    planes = np.zeros((32, bits.shape[1]), dtype=np.uint64)
    for i in own:
        a = firsts[i]
        for b in range(a + 1, len(signup)):
            slot = slots[i, b]
            if slot < 0:
                continue
            if filled[slot] > wanted:
                sort_out(sums[slot], classes[slot], filled[slot], wanted, filled, slot)
            # only when the list has to grow does the order among the neighbours matter
            count = _neighbours(sums[slot], classes[slot], filled[slot], wanted, a, b, wanted > start, exact, ranked)
            left_out[0], left_out[1] = signup[a], signup[b]
            row = row_of_pair[i, b]
            if wanted == start and winners_by_bits(
                ranked[:count], bits, own_words, left_out, planes, out_films[row], out_votes[row]
            ):
                out_summary[row, 0], out_summary[row, 1] = out_films.shape[1], count
                continue
            out_summary[row, 0], out_summary[row, 1] = count_votes(
                ranked[:count],
                start,
                step,
                wanted,
                indptr,
                films,
                left_out,
                counters,
                reached,
                out_films[row],
                out_votes[row],
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
