"""Statistics of experiments: against other ways to compute them, and against users whose difference is known."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from benchmarks.experiments import Users, alarms, summary
from recommender.experiments.bootstrap import Kinds, bootstrap_difference
from recommender.experiments.comparison import SCALE, compare, radius
from recommender.experiments.decisions import BETTER, NO_DIFFERENCE, TOO_EARLY, VIOLATED, WORSE, decide
from recommender.experiments.ratios import Moments, moments, ratio
from recommender.experiments.sample_ratio import evidence, is_violated


def clients(number: int, seed: int, taste: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and answers of clients who differ."""
    random = np.random.default_rng(seed)
    answers = 1 + random.poisson(random.gamma(0.7, 5.0, number))
    return random.binomial(10 * answers, taste * random.beta(2, 8, number)), answers


def test_variance_is_that_of_drawing_other_clients() -> None:
    outcomes, answers = clients(400, 1)
    found = ratio(moments(outcomes, answers, np.ones(400)))
    assert found.value == pytest.approx(outcomes.sum() / answers.sum())
    random, ratios = np.random.default_rng(2), []
    for _ in range(4000):
        drawn = random.integers(0, 400, 400)
        ratios.append(outcomes[drawn].sum() / answers[drawn].sum())
    assert math.sqrt(found.variance) == pytest.approx(np.std(ratios), rel=0.06)
    naive = math.sqrt(found.value * 10 / answers.sum())  # as if answers were independent
    assert np.std(ratios) != pytest.approx(naive, rel=0.2)


def test_clients_of_a_kind_count_as_often_as_there_are() -> None:
    outcomes, answers = clients(300, 3)
    kinds, times = np.unique(np.stack([outcomes, answers]), axis=1, return_counts=True)
    assert len(times) < 300
    for one, other in zip(moments(outcomes, answers, np.ones(300)), moments(*kinds, times), strict=True):
        assert one == pytest.approx(other)


@pytest.mark.parametrize(("number", "known"), [(0, False), (1, False), (2, True)])
def test_few_clients_have_no_interval(number: int, known: bool) -> None:
    few, many = moments(*clients(number, 4), np.ones(number)), moments(*clients(500, 5), np.ones(500))
    found = compare(few, many, 0.05)
    assert math.isfinite(found.low) == math.isfinite(found.high) == known
    assert decide(few, many, found, 0.99).item() in {TOO_EARLY, VIOLATED}


def test_the_sequence_is_the_published_one() -> None:
    """Theorem 2.2 of Waudby-Smith et al. for a mean of t values with variance s^2."""
    for t, deviation, rho in [(10, 1.0, 0.5), (1000, 0.3, 0.05), (100_000, 2.0, 0.01)]:
        published = deviation * math.sqrt(
            2 * (t * rho**2 + 1) / (t**2 * rho**2) * math.log(math.sqrt(t * rho**2 + 1) / 0.05)
        )
        assert radius(deviation**2 / t, rho * deviation, 0.05) == pytest.approx(published)


def test_the_scale_is_near_the_best_for_differences_that_matter() -> None:
    """In units of the margin: how small the variance must be until a difference is found, with any scale."""

    def wanted(difference: float, scale: float) -> float:
        variances = np.geomspace(1e-4, 100, 20_000)
        return float(variances[radius(variances, scale) <= difference].max())

    for difference, most in [(1.0, 1.2), (2.0, 1.05), (6.0, 1.1)]:
        best = max(wanted(difference, scale) for scale in np.geomspace(0.1, 100, 60))
        assert best / wanted(difference, SCALE) < most


def test_evidence_is_that_of_predicting_each_client() -> None:
    """The Bayes factor, as the product of what the mixture and the share say of each client in turn."""
    random = np.random.default_rng(6)
    for share in (Fraction(1, 2), Fraction(1, 10)):
        met, others, factor = 0, 0, 1.0
        for _ in range(300):
            predicted = (1000 * share + met) / (1000 + met + others)
            if random.random() < 0.3:
                factor, met = factor * float(predicted / share), met + 1
            else:
                factor, others = factor * float((1 - predicted) / (1 - share)), others + 1
        assert evidence(met, others, float(share)) == pytest.approx(math.log(factor))
    assert evidence(0, 0, 0.1) == 0.0


def test_bootstrap_draws_clients() -> None:
    sides = [clients(300, seed, taste) for seed, taste in ((7, 0.3), (8, 0.4))]
    found = bootstrap_difference(*(Kinds(*side, np.ones(300, dtype=np.int64)) for side in sides))
    random, differences = np.random.default_rng(9), []
    for _ in range(2000):
        drawn = [random.integers(0, 300, 300) for _ in sides]
        theirs, ours = (did[rows].sum() / asked[rows].sum() for (did, asked), rows in zip(sides, drawn, strict=True))
        differences.append(ours - theirs)
    spread = float(np.std(differences))
    assert found is not None
    assert found == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])), abs=0.2 * spread)
    nobody = Kinds(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
    assert bootstrap_difference(nobody, nobody) is None


def side(number: int, per_answer: float, spread: float) -> Moments:
    """Clients with one answer each, and outcomes of a given mean and deviation."""
    n = float(number)
    return Moments(*map(np.asarray, (n, n * per_answer, n, n * (per_answer**2 + spread**2), n * per_answer, n)))


@pytest.mark.parametrize(
    ("champion", "challenger", "expected"),
    [
        (side(5000, 1.0, 0.5), side(5000, 1.2, 0.5), BETTER),
        (side(5000, 1.0, 0.5), side(5000, 0.8, 0.5), WORSE),
        (side(50_000, 1.0, 0.1), side(50_000, 1.01, 0.1), NO_DIFFERENCE),  # it excludes 0, but is within the margin
        (side(5000, 1.0, 5.0), side(5000, 1.2, 5.0), TOO_EARLY),
        (side(5000, 1.0, 0.5), side(5800, 1.2, 0.5), VIOLATED),
        (side(99, 1.0, 0.1), side(99, 2.0, 0.1), TOO_EARLY),
        (side(5000, 0.005, 0.01), side(5000, 0.5, 0.01), TOO_EARLY),  # 25 outcomes
        (side(0, 0.0, 0.0), side(0, 0.0, 0.0), TOO_EARLY),
        (side(5000, 0.0, 0.0), side(5000, 0.0, 0.0), TOO_EARLY),
    ],
)
def test_decisions(champion: Moments, challenger: Moments, expected: str) -> None:
    assert decide(champion, challenger, compare(champion, challenger, 0.05), 0.5) == expected


CROWDS = {
    "half": Users(clients=1500, days=14),
    "a tenth": Users(clients=3000, days=14, share=0.1),
    "rare": Users(clients=2000, days=14, outcomes=0.03),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_without_a_difference_winners_are_rare_however_often_one_looks(crowd: str) -> None:
    found = summary(CROWDS[crowd], 0.05, 400)
    assert found[BETTER] + found[WORSE] <= 0.05
    assert found["naive"] > 0.08, "an ordinary interval would do; these experiments show nothing"
    assert found[VIOLATED] <= 0.01


def test_known_differences_are_found_and_not_turned_round() -> None:
    users = Users(clients=4000, days=28)
    large, less = (summary(replace(users, effect=effect), 0.05, 100) for effect in (0.3, -0.3))
    assert large[BETTER] > 0.8
    assert less[WORSE] > 0.8
    assert large[WORSE] + less[BETTER] == 0
    small = summary(replace(users, effect=0.05), 0.05, 100)
    assert small[WORSE] <= 0.05
    assert small[TOO_EARLY] > 0.5, "four thousand clients cannot tell five in a hundred"
    # With more clients the same small difference is nothing that matters, of a margin three times as large.
    assert summary(replace(users, clients=20_000, effect=0.02), 0.15, 50)[NO_DIFFERENCE] > 0.9
    assert summary(replace(users, clients=5000, days=14, lost=0.3), 0.05, 50)[VIOLATED] > 0.9


def test_sample_ratio_alarms_are_rare_and_come_when_clients_are_lost() -> None:
    for share in (0.5, 0.1):
        assert alarms(share, 0.0, 2000, 10_000)[0] <= 0.003  # 0.001 ever, and what 2,000 experiments may add
        rate, after = alarms(share, 0.25, 200, 10_000)
        assert rate > 0.98
        assert after < 6000
    assert is_violated(600, 400, 0.5)
    assert not is_violated(510, 490, 0.5)
