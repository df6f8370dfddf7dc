"""Experiments with simulated users whose difference is known: how often the decision is wrong, and how long it takes.

Run as ``python -m benchmarks.experiments [--experiments 1000]``; prints the tables of docs/experiments.md.

Belongs here: the users and the counting. What is said at a look is said by `recommender.experiments`, the same code
that looks at real experiments; it is given the sums of many simulated ones at once.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.experiments.comparison import compare
from recommender.experiments.decisions import BETTER, NO_DIFFERENCE, TOO_EARLY, VIOLATED, WORSE, decide
from recommender.experiments.ratios import Moments, moments, ratio
from recommender.experiments.sample_ratio import is_violated

PER_ANSWER = 10
"""Films of an answer: at most so many outcomes."""

AT_ONCE = 50
"""Experiments that are simulated together."""


@dataclass(frozen=True)
class Users:
    """Who takes part in a simulated experiment, and what the challenger changes.

    A client comes on a day of its own, then asks a random number of times a day (the rate is drawn from a gamma
    distribution: many ask seldom, few ask often), and each answer brings outcomes with a probability of the client's
    own (beta distribution; those who ask often use less of it).

    Attributes
    ----------
    clients, days : int
    share : float
        Of the clients who meet the challenger.
    answers : float
        Of a client and day, on average.
    outcomes : float
        Of an answer of the champion, on average.
    effect : float
        By which the challenger multiplies these, minus 1.
    evenness : float
        Of the rates at which clients ask, the shape of the gamma distribution: the smaller, the more a few do it all.
    lost : float
        Share of the challenger's clients whose answers do not arrive.
    """

    clients: int = 4000
    days: int = 28
    share: float = 0.5
    answers: float = 0.4
    outcomes: float = 0.3
    effect: float = 0.0
    evenness: float = 0.7
    lost: float = 0.0


class Looks(NamedTuple):
    """Sums of both variants after each day, each of shape (experiments, days)."""

    champion: Moments
    challenger: Moments


def simulate(users: Users, experiments: int, seed: int) -> Looks:
    """Simulate experiments; the sums after each day, of all that happened until then."""
    random = np.random.default_rng(seed)
    shape = (experiments, users.clients)
    meets = random.random(shape) < users.share
    counted = ~meets | (random.random(shape) >= users.lost)
    first_day = random.integers(0, users.days, shape) * (random.random(shape) < 0.7)  # three in ten are there at once
    rate = random.gamma(users.evenness, users.answers / users.evenness, shape)
    taste = random.beta(2.0, 2.0 * (PER_ANSWER / users.outcomes - 1.0), shape) / np.sqrt(1.0 + rate)
    taste *= users.outcomes / PER_ANSWER / taste.mean()
    chance = np.clip(np.where(meets, taste * (1.0 + users.effect), taste), 0.0, 1.0)
    asked, did = np.zeros(shape), np.zeros(shape)
    days: tuple[list[Moments], list[Moments]] = ([], [])
    for day in range(users.days):
        today = random.poisson(np.where(counted & (first_day <= day), rate, 0.0))
        asked += today
        did += random.binomial(PER_ANSWER * today, chance)
        for side, here in zip(days, (~meets, meets), strict=True):
            side.append(moments(did, asked, here & (asked > 0)))
    return Looks(*(Moments(*(np.stack(sums, axis=-1) for sums in zip(*side, strict=True))) for side in days))


def decisions(looks: Looks, margin: float, share: float) -> NDArray[np.str_]:
    """What a look after each day says, shape (experiments, days)."""
    found = compare(looks.champion, looks.challenger, margin)
    return decide(looks.champion, looks.challenger, found, share)


def naive_winner(looks: Looks) -> NDArray[np.bool_]:
    """Whether somebody who looks at an ordinary 95% interval after each day ever sees it exclude 0."""
    theirs, ours = ratio(looks.champion), ratio(looks.challenger)
    with np.errstate(invalid="ignore"):
        far = np.abs(ours.value - theirs.value) > 1.96 * np.sqrt(ours.variance + theirs.variance)
    enough = (looks.champion.clients >= 100) & (looks.challenger.clients >= 100)
    return np.asarray((far & enough).any(axis=1))


def chunks(users: Users, experiments: int, seed: int) -> Iterator[Looks]:
    """Simulate some experiments after the other, so that memory is bounded."""
    for begin in range(0, experiments, AT_ONCE):
        yield simulate(users, min(AT_ONCE, experiments - begin), seed + begin)


def summary(users: Users, margin: float, experiments: int, seed: int = 0) -> dict[str, float]:
    """Shares of the experiments of which each decision is ever said, or none (`TOO_EARLY`); quartiles of the days until
    the first; and the share of those that ever have a winner by naive looking."""
    looked, naive = [], []
    for looks in chunks(users, experiments, seed):
        looked.append(decisions(looks, margin, users.share))
        naive.append(naive_winner(looks))
    said = np.concatenate(looked)
    decided = said != TOO_EARLY
    days = decided.argmax(axis=1)[decided.any(axis=1)] + 1
    return {
        **{word: float((said == word).any(axis=1).mean()) for word in (BETTER, WORSE, NO_DIFFERENCE, VIOLATED)},
        TOO_EARLY: float(1.0 - decided.any(axis=1).mean()),
        **dict(zip(("q25", "median", "q75"), np.quantile(days, [0.25, 0.5, 0.75]) if len(days) else [np.nan] * 3,
                   strict=True)),
        "naive": float(np.mean(np.concatenate(naive))),
    }  # fmt: skip


def alarms(share: float, lost: float, experiments: int, clients: int, seed: int = 0) -> tuple[float, float]:
    """Share of the experiments in which the sample ratio is found violated, looking after every 50 clients; and after
    how many clients, the median of those that are found."""
    random = np.random.default_rng(seed)
    real = share * (1.0 - lost) / (share * (1.0 - lost) + 1.0 - share)
    seen = np.arange(50, clients + 1, 50)
    met = np.cumsum(random.binomial(50, real, (experiments, len(seen))), axis=1)
    found = is_violated(met, seen - met, share)
    any_time = found.any(axis=1)
    return float(any_time.mean()), float(np.median(seen[found.argmax(axis=1)][any_time])) if any_time.any() else np.nan


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(f"{cell:.1%}" if isinstance(cell, float) else str(cell) for cell in cells) + " |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    options = parser.parse_args()
    count, started = options.experiments, time.perf_counter()
    base = Users()
    crowds = {
        "4,000, half": (base, 0.05),
        "20,000, a tenth": (replace(base, clients=20_000, share=0.1), 0.05),
        "4,000, half, rare outcomes": (replace(base, outcomes=0.03), 0.05),
        "3,000, a tenth, a few ask most": (replace(base, clients=3000, share=0.1, evenness=0.1), 0.05),
        "20,000, half, margin 10%": (replace(base, clients=20_000), 0.1),
    }
    print(_line(["clients", "effect", "better", "worse", "no difference", "too early", "violated", "days", "naive"]))
    print("|" + "---|" * 9)
    for name, (users, margin) in crowds.items():
        for effect in (0.0, 0.02, 0.05, 0.1, 0.3):
            found = summary(replace(users, effect=effect), margin, count)
            days = f"{found['median']:.0f} ({found['q25']:.0f} to {found['q75']:.0f})" if found[TOO_EARLY] < 1 else "–"
            shares = [found[word] for word in (BETTER, WORSE, NO_DIFFERENCE, TOO_EARLY, VIOLATED)]
            print(_line([name, f"{effect:+.0%}", *shares, days, found["naive"]]), flush=True)
    print("\n" + _line(["share", "lost clients of the challenger", "alarms", "clients until then (median)"]))
    print("|" + "---|" * 4)
    for share in (0.5, 0.1):
        for lost in (0.0, 0.02, 0.05, 0.1, 0.2):
            rate, clients = alarms(share, lost, 10 * count, 20_000)
            print(_line([f"{share:.0%}", f"{lost:.0%}", f"{rate:.2%}", f"{clients:,.0f}"]))
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
