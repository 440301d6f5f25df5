"""How sure we are, from integer totals alone.

Posterior of a rate: Beta(s + 1/2, n − s + 1/2), the Jeffreys prior (Brown, Cai and DasGupta 2001,
"Interval estimation for a binomial proportion"). The probability that one rate exceeds another is
the normal approximation of the difference of two such posteriors: Φ((μ₁ − μ₂) / √(v₁ + v₂)).
"""

from __future__ import annotations

import math

PPM = 1_000_000
_JEFFREYS = 0.5
_Z95 = 1.959963984540054
_DECIMALS = 4


def success_rate(trials: int, success_ppm: int) -> float:
    """Mean success in [0, 1], 4 decimals; 0 without trials."""
    return round(success_ppm / (trials * PPM), _DECIMALS) if trials > 0 else 0.0


def confidence(
    pattern_trials: int, pattern_success_ppm: int, context_trials: int, context_success_ppm: int
) -> float:
    """Probability in [0, 1], 4 decimals, that the pattern's rate is above its context's."""
    mean, variance = _posterior(pattern_trials, pattern_success_ppm)
    base_mean, base_variance = _posterior(context_trials, context_success_ppm)
    z = (mean - base_mean) / math.sqrt(variance + base_variance)
    return round(0.5 * (1.0 + math.erf(z / math.sqrt(2.0))), _DECIMALS)


def lift(
    pattern_trials: int, pattern_success_ppm: int, context_trials: int, context_success_ppm: int
) -> float | None:
    """Pattern's rate over its context's, 4 decimals; None where the context never succeeds."""
    if pattern_trials <= 0 or context_trials <= 0 or context_success_ppm <= 0:
        return None
    ratio = (pattern_success_ppm * context_trials) / (pattern_trials * context_success_ppm)
    return round(ratio, _DECIMALS)


def wilson_interval(trials: int, success_ppm: int) -> tuple[float, float]:
    """95 % interval of the rate, 4 decimals (Wilson 1927); (0, 1) without trials."""
    if trials <= 0:
        return (0.0, 1.0)
    rate = success_ppm / (trials * PPM)
    z2 = _Z95 * _Z95
    centre = rate + z2 / (2 * trials)
    spread = _Z95 * math.sqrt(max(rate * (1 - rate), 0.0) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return (round(max(low, 0.0), _DECIMALS), round(min(high, 1.0), _DECIMALS))


def _posterior(trials: int, success_ppm: int) -> tuple[float, float]:
    """Mean and variance of the Beta posterior."""
    success = success_ppm / PPM
    alpha = success + _JEFFREYS
    beta = trials - success + _JEFFREYS
    total = alpha + beta
    return alpha / total, alpha * beta / (total * total * (total + 1.0))
