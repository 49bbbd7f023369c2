"""The same picture twice: found by a perceptual hash of sketches, and verified in their pixels.

The hash is the low part of a sketch's cosine transform, as in pHash (Zauner 2010), but with its numbers,
normalised to length 1, instead of their signs: its scalar product with another's is their similarity.
Brightness and contrast don't change it. Mirroring a picture negates coefficients of odd frequency, inverting
it negates all, and a quarter turn transposes them, so all 16 such copies are compared without being made.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from mura_jobs.radiographs.sketch import SIDE

FREQUENCIES = 8
"""Cosines a side in a hash: structures down to an eighth of a picture."""
SIMILAR = 0.92
"""Scalar product of two hashes from which a pair is looked at."""
SAME = 0.9
"""Correlation of two pictures' aligned details from which they are the same picture."""

_ROWS, _COLUMNS = 512, 4096  # of similarities computed at once: 8 MiB
_COARSE = SIDE // 2
_DETAIL = 3.0  # px of a sketch; what is smoother counts as exposure
_ROUNDS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)

Sketches = NDArray[np.uint8]
"""(n, SIDE, SIDE)"""


def hashes(sketches: Sketches) -> NDArray[np.float32]:
    """Perceptual hashes (n, FREQUENCIES, FREQUENCIES) of length 1, or 0 for pictures of one grey."""
    low = dctn(sketches.astype(np.float32), axes=(1, 2), norm="ortho")[:, :FREQUENCIES, :FREQUENCIES]
    frequency = np.hypot(*np.indices((FREQUENCIES, FREQUENCIES)))  # makes up for spectra that fall with it
    weighed = low * frequency.astype(np.float32)
    length = np.sqrt((weighed**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(np.where(length > 1, weighed / np.maximum(length, 1), 0), np.float32)


def candidates(hashed: NDArray[np.float32], groups: NDArray[np.int64]) -> NDArray[np.int32]:
    """Pairs whose hashes are similar, in order: (pairs, 3) of first, second and variant (0 … 15).

    Args:
        hashed: hashes as `hashes` makes them.
        groups: (n,) numbers; pairs within one group are of no interest.
    """
    parts = _parts(hashed)
    turned = _parts(hashed.transpose(0, 2, 1))
    found = [np.empty((0, 2), np.int64)]
    for top in range(0, len(hashed), _ROWS):
        for left in range(top, len(hashed), _COLUMNS):
            rows, columns = slice(top, top + _ROWS), slice(left, left + _COLUMNS)
            first, second = np.nonzero(
                _best(parts[:, rows], parts[:, columns], turned[:, columns]) >= SIMILAR
            )
            first, second = first + top, second + left
            wanted = (first < second) & (groups[first] != groups[second])
            found.append(np.stack([first[wanted], second[wanted]], 1))
    every = np.concatenate(found)
    first, second = every[np.lexsort((every[:, 1], every[:, 0]))].T
    variants = [
        signed
        for others in (parts, turned)
        for similarity in _flips(*np.einsum("gnk,gnk->gn", parts[:, first], others[:, second]))
        for signed in (similarity, -similarity)
    ]
    return np.stack([first, second, np.argmax(variants, axis=0)], 1).astype(np.int32)


def variant_of(picture: Sketches, number: int) -> Sketches:
    """A copy of one picture: number 1 inverted, 2 mirrored, 4 upside down, 8 transposed, and their sums."""
    transposed = picture.T if number & 8 else picture
    flipped = transposed[:: -1 if number & 4 else 1, :: -1 if number & 2 else 1]
    return np.ascontiguousarray(255 - flipped if number & 1 else flipped)


def words_of(number: int) -> str:
    """The same in words."""
    names = {8: "transposed", 4: "upside down", 2: "mirrored", 1: "inverted"}
    return ", ".join(name for bit, name in names.items() if number & bit) or "as it is"


def detail_correlation(first: Sketches, second: Sketches) -> float:
    """How far two pictures (SIDE, SIDE) are the same in detail, −1 to 1, after the second is aligned.

    Alignment is affine, coarse first (Evangelidis and Psarakis 2008), which undoes a crop and a slight turn.
    """
    a, b = first.astype(np.float32), second.astype(np.float32)
    fine_a, fine_b = _details(a), _details(b)
    found = _correlation(fine_a, fine_b, np.ones_like(a, np.bool_))
    if found > 0.95:
        return found
    matrix = _aligned(_half(a), _half(b), np.eye(2, 3, dtype=np.float32))
    if matrix is None:
        return found
    matrix[:, 2] *= SIDE / _COARSE
    coarse = _correlation(fine_a, *_moved(fine_b, matrix))
    if coarse < 0.5:
        return max(found, coarse)
    matrix = _aligned(fine_a, fine_b, matrix)
    fine = -1.0 if matrix is None else _correlation(fine_a, *_moved(fine_b, matrix))
    return max(found, coarse, fine)


def _parts(hashed: NDArray[np.float32]) -> NDArray[np.float32]:
    """(4, n, …): coefficients of even and odd vertical and horizontal frequency apart."""
    parities = [hashed[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return np.stack([part.reshape(len(hashed), -1) for part in parities])


Products = NDArray[np.float32]
"""Of two hashes' coefficients of one parity."""


def _flips(ee: Products, eo: Products, oe: Products, oo: Products) -> Iterator[Products]:
    """Similarities to the other as it is, mirrored, upside down and both, from the parities' shares in it."""
    yield ee + eo + oe + oo
    yield ee - eo + oe - oo
    yield ee + eo - oe - oo
    yield ee - eo - oe + oo


def _best(
    rows: NDArray[np.float32], columns: NDArray[np.float32], turned: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The similarity of each row's hash to the most similar of each column's 16 variants."""
    best = np.zeros((rows.shape[1], columns.shape[1]), np.float32)
    for others in (columns, turned):
        for similarity in _flips(*(row @ other.T for row, other in zip(rows, others, strict=True))):
            np.maximum(best, np.abs(similarity, out=similarity), out=best)
    return best


def _details(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture without its smooth part, with the same contrast everywhere."""
    rest = picture - cv2.GaussianBlur(picture, (0, 0), _DETAIL)
    contrast = cv2.GaussianBlur(rest * rest, (0, 0), 2 * _DETAIL)
    return np.asarray(rest / np.sqrt(contrast + 16), np.float32)  # 4 grey values are no detail


def _half(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture at half its size."""
    return np.asarray(cv2.pyrDown(picture), np.float32)


def _aligned(
    first: NDArray[np.float32], second: NDArray[np.float32], start: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """The affine map (2, 3) from first to second that correlates best, or None where none is found."""
    try:
        everywhere = np.ones(first.shape, np.uint8)
        _, matrix = cv2.findTransformECC(
            first, second, start.copy(), cv2.MOTION_AFFINE, _ROUNDS, everywhere, 5
        )
    except cv2.error:  # it says so when it does not converge
        return None
    return np.asarray(matrix, np.float32)


def _moved(
    picture: NDArray[np.float32], matrix: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A picture moved by a map, and where it is seen."""
    size = (SIDE, SIDE)
    moved = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    seen = cv2.warpAffine(np.ones_like(picture), matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return np.asarray(moved, np.float32), np.asarray(seen > 0)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Pearson's, of the pixels named; 0 where less than 70 % of the picture is left to compare."""
    if where.mean() < 0.7:
        return 0.0
    a, b = first[where] - first[where].mean(), second[where] - second[where].mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / length if length > 1 else 0.0
