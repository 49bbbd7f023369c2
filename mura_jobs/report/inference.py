"""What several seeds on one test set say about a score, and about the difference of two arms.

Seeds are to a training recipe what readers are to an imaging method: each looks at the same patients. The
analysis is that of multi-reader multi-case studies with seeds for readers (Obuchowski & Rockette 1995;
degrees of freedom by Hillis 2007), the covariance between seeds taken from the patient-clustered bootstrap.
With one seed it is the bootstrap's standard error, and says nothing about other seeds.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from mura_jobs.report.statistics import Floats


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its standard error."""

    value: float
    error: float
    """Standard error over patients and seeds."""
    freedom: float
    """Degrees of freedom of the standard error."""
    patient_error: float
    """Standard error over patients alone, for these very networks."""

    def interval(self, level: float) -> tuple[float, float] | None:
        """The two-sided interval, symmetric about the value.

        None where nothing varies: no resample and no seed then tells how far off the value may be.
        """
        if not self.error:
            return None
        half = self.quantile((1 + level) / 2) * self.error
        return self.value - half, self.value + half

    def bounded_interval(self, level: float, low: float, high: float) -> tuple[float, float] | None:
        """The interval of a score that lies between `low` and `high`, symmetric on the logit scale.

        None where nothing varies, or the score sits on a bound.
        """
        if not low < self.value < high or not self.error:
            return None
        share = (self.value - low) / (high - low)
        half = self.quantile((1 + level) / 2) * self.error / ((high - low) * share * (1 - share))
        ends = low + (high - low) * expit(logit(share) + np.array([-half, half]))
        return float(ends[0]), float(ends[1])

    @property
    def p_value(self) -> float:
        """Two-sided p of the value being 0; 1 where nothing varies, whatever the value."""
        if not self.error:
            return 1.0
        return float(2 * student.sf(abs(self.value) / self.error, self.freedom))

    def detectable(self, alpha: float, power: float) -> float | None:
        """The smallest true difference that a two-sided test at `alpha` finds with probability `power`.

        None where nothing varies (the arms' predictions are the same).
        """
        if not self.error:
            return None
        return (self.quantile(1 - alpha / 2) + self.quantile(power)) * self.error

    def quantile(self, probability: float) -> float:
        """Student's t at `probability`, with this estimate's degrees of freedom."""
        return float(student.ppf(probability, self.freedom))


def estimate(seed_S: Floats, replicates_SB: Floats, patients: int) -> Estimate:
    """The mean over seeds, with the error of drawing other patients and other seeds.

    Write the value of seed s on test set c as θ + patients_c + seed_s + both_sc. The variance of the mean is
    V(patients) + [V(seed) + V(both)] / S. The covariance of two seeds over resampled patients estimates the
    first term, the variance between seeds on this test set the bracket (Obuchowski & Rockette 1995). The
    bracket is never taken to be less than V(both), which the bootstrap knows: few seeds may agree by luck.

    Args:
        seed_S: the value on the test set for each seed; for a comparison, the paired difference of two arms.
        replicates_SB: the same on B resamples of the patients.
        patients: patients in the test set, a count.
    """
    seeds = len(seed_S)
    unbiased = patients / (patients - 1)  # the bootstrap's variance of a mean is short by this factor
    fixed = float(replicates_SB.mean(axis=0).var(ddof=1)) * unbiased
    if seeds == 1:
        shared, over_seeds = fixed, 0.0
    else:
        own = float(replicates_SB.var(axis=1, ddof=1).mean()) * unbiased
        shared = max((seeds * fixed - own) / (seeds - 1), 0.0)  # mean covariance of two seeds
        over_seeds = max(float(seed_S.var(ddof=1)), own - shared) / seeds
    total = shared + over_seeds
    limit = float(patients - 1)
    return Estimate(
        value=float(seed_S.mean()),
        error=float(np.sqrt(total)),
        freedom=min(limit, (seeds - 1) * (total / over_seeds) ** 2) if over_seeds else limit,
        patient_error=float(np.sqrt(fixed)),
    )
