"""A stand-in for CIFAR-10, drawn on this machine without a network.

Each picture is an object of `object_shapes.py`, turned, scaled and placed at random, drawn part by
part from the farthest to the nearest in front of a place: sky, water, grass, road, room, wood or
sand. Things that stand behind it or in front of it, light, blur and noise follow. Most places suit
every class, so the background alone does not tell the class.

No picture of CIFAR-10 and nothing learnt from one is in here. A network trained on these pictures
knows little about photographs.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral

import numpy as np

from cnncourse.data.object_shapes import DRAWERS, FLAT, LIMB, PAINTS, ROUND, Sketch

SIDE = 32  # an image, in pixels
BATCH = 64  # images drawn at a time: few enough for the working arrays to stay in cache
THREADS = min(8, os.cpu_count() or 1)  # has no influence on the images

# Places: the colour above the horizon and below it.
PLACES = {
    "sky": ((0.42, 0.60, 0.83), (0.68, 0.79, 0.90)),
    "water": ((0.62, 0.72, 0.82), (0.20, 0.36, 0.47)),
    "grass": ((0.45, 0.55, 0.45), (0.34, 0.46, 0.18)),
    "road": ((0.55, 0.58, 0.60), (0.40, 0.39, 0.38)),
    "room": ((0.66, 0.58, 0.50), (0.45, 0.32, 0.24)),
    "wood": ((0.20, 0.28, 0.14), (0.30, 0.27, 0.16)),
    "sand": ((0.75, 0.78, 0.80), (0.70, 0.62, 0.48)),
}
# How often a class is seen in each place, in the order of PLACES; every place is possible.
HABITS = np.array(
    [
        (5, 1, 1, 3, 1, 1, 2),  # airplane
        (1, 1, 2, 5, 2, 1, 2),  # automobile
        (3, 3, 2, 1, 1, 3, 1),  # bird
        (1, 1, 2, 2, 5, 1, 2),  # cat
        (1, 1, 4, 1, 1, 4, 2),  # deer
        (1, 1, 3, 2, 4, 1, 2),  # dog
        (1, 2, 3, 1, 2, 3, 2),  # frog
        (1, 1, 4, 2, 1, 2, 3),  # horse
        (3, 5, 1, 1, 1, 1, 2),  # ship
        (1, 1, 2, 5, 2, 1, 2),  # truck
    ],
    float,
)
HABITS /= HABITS.sum(axis=1, keepdims=True)

AMBIENT = 0.62  # brightness of a face in shadow
GRID = (np.arange(SIDE, dtype=np.float32) + 0.5)[None, :]


def make_objects(
    n_train: int = 50_000, n_test: int = 10_000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Colour pictures of the ten classes of CIFAR-10, from a fixed seed.

    Returns `x_train` (n_train, 32, 32, 3) uint8 RGB, `y_train` (n_train,) uint8 in the order of
    `object_shapes.DRAWERS`, shuffled, equally many of each class, and `x_test`, `y_test`
    likewise. The same arguments give the same bytes on the same machine, whatever the number of
    threads.

    Raises ValueError for a number of images below 1, a negative seed, or no whole number.
    """
    _check_whole_number("n_train", n_train, 1)
    _check_whole_number("n_test", n_test, 1)
    _check_whole_number("seed", seed, 0)
    x_train, y_train = _make_part(int(n_train), [int(seed), 1])
    x_test, y_test = _make_part(int(n_test), [int(seed), 2])
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _check_whole_number(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}: give a whole number of at least {least}")


def _make_part(n: int, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) and labels (n,) of one part."""
    labels = np.random.default_rng([*seed, n]).permutation(np.arange(n) % 10).astype(np.uint8)
    images = np.empty((n, SIDE, SIDE, 3), np.uint8)

    def make_batch(job: tuple[int, int]) -> None:
        # Each batch has its own stream of random numbers, so the order of work does not matter.
        label, start = job
        rows = np.flatnonzero(labels == label)[start : start + BATCH]
        images[rows] = draw(label, len(rows), np.random.default_rng([*seed, n, label, start]))

    jobs = [(k, start) for k in range(10) for start in range(0, int((labels == k).sum()), BATCH)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(make_batch, jobs))
    return images, labels


def draw(label: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` pictures (n, 32, 32, 3) uint8 of one class."""
    place = rng.choice(len(PLACES), size=n, p=HABITS[label])
    canvas, ground = _background(place, rng)
    sketch = Sketch(n, rng)
    DRAWERS[label](sketch)
    _clutter(canvas, rng)
    _draw_object(canvas, sketch, rng)
    _cover(canvas, ground, rng)
    return _photograph(canvas, rng)


# ---------------------------------------------------------------- places


def _background(place: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Canvas (3, n, 32, 32) with sky or wall, ground and texture; the ground's colours (n, 3)."""
    n = len(place)
    above, below = np.array(list(PLACES.values()))[place].transpose(1, 0, 2)
    odd = rng.random((n, 1)) < 0.15  # any colour: a painted wall, a carpet, evening light
    above = np.where(odd, 0.2 + 0.4 * rng.random((n, 3)) + 0.3 * rng.random((n, 1)), above)
    above, below = (_tinted(colour, rng) for colour in (above, below))
    horizon = np.where(place == 0, rng.uniform(0.6, 1.6, n), rng.uniform(0.0, 0.85, n)) * SIDE
    tilt, soft = 0.06 * rng.standard_normal((n, 1)), rng.uniform(0.5, 5, (n, 1, 1))
    down = GRID.T[None] - (horizon[:, None] + tilt * (GRID - SIDE / 2))[:, None, :]
    ground = np.clip(down / soft + 0.5, 0, 1).astype(np.float32)
    fade = (rng.uniform(-0.012, 0.012, (n, 1, 1)) * down).astype(np.float32)
    canvas = np.empty((3, n, SIDE, SIDE), np.float32)
    texture = _texture(n, rng) * rng.uniform(0.01, 0.11, (n, 1, 1)).astype(np.float32)
    texture *= 0.4 + 0.6 * ground
    for k in range(3):
        top, bottom = (c[:, k, None, None].astype(np.float32) for c in (above, below))
        canvas[k] = top + (bottom - top) * ground + fade + texture
    return canvas, below


def _tinted(colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    light = np.exp(0.22 * rng.standard_normal((len(colour), 1)))
    return np.clip(colour * light + 0.05 * rng.standard_normal(colour.shape), 0.03, 1)


def _texture(n: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (n, 32, 32) of deviation about 1: a mixture of three grains."""
    field = np.zeros((n, SIDE, SIDE), np.float32)
    weights = rng.dirichlet((1.4, 1.2, 0.6), n).astype(np.float32)
    for k, cells in enumerate((4, 10, 32)):
        coarse = rng.standard_normal((n, cells, cells), np.float32) * 1.5
        weight = weights[:, k, None, None]
        if cells == SIDE:
            field += weight * coarse
        else:
            mix = _stretch(cells)
            field += weight * (mix @ coarse @ mix.T)
    return field


def _stretch(cells: int) -> np.ndarray:
    """The matrix (32, cells) that enlarges a row of cells linearly."""
    at = np.linspace(0, cells - 1, SIDE)[:, None]
    return np.clip(1 - np.abs(at - np.arange(cells)), 0, 1).astype(np.float32)


def _clutter(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Trees, walls, clouds, stones: soft shapes behind the object."""
    n = canvas.shape[1]
    for _ in range(3):
        seen = rng.uniform(0.3, 1, n) * (rng.random(n) < 0.5)
        near = canvas[:, np.arange(n), rng.integers(SIDE, size=n), rng.integers(SIDE, size=n)].T
        colour = np.clip(near * rng.uniform(0.5, 1.4, (n, 1)), 0, 1)
        colour = np.where(
            rng.random((n, 1)) < 0.25, PAINTS[rng.integers(len(PAINTS), size=n)], colour
        )
        a = rng.uniform(0, SIDE, (n, 2))
        b = a + rng.normal(0, 8, (n, 2))
        if rng.random() < 0.5:  # the same for the whole batch: twice as fast
            r = rng.uniform(1, 5, (n, 2))
            _limb(canvas, a, b, r, colour, seen, np.zeros((n, 2)))
        else:
            u, v = rng.uniform(2, 8, n), rng.uniform(2, 10, n)
            o = np.zeros(n)
            _plate(canvas, a, np.stack([u, o], 1), np.stack([o, v], 1), o, True, colour, seen)


def _cover(canvas: np.ndarray, ground: np.ndarray, rng: np.random.Generator) -> None:
    """Grass, a wave or a post in front of three objects in ten."""
    n = canvas.shape[1]
    low = rng.random(n) < 0.6
    across = np.where(low, -4, rng.uniform(2, 30, n))
    a = np.stack([across, np.where(low, 34, -4)], 1) + rng.normal(0, 1, (n, 2))
    b = np.stack([np.where(low, 36, across), np.full(n, 36)], 1) + rng.normal(0, 2, (n, 2))
    r = np.where(low, rng.uniform(3, 9, n), rng.uniform(0.7, 2.2, n))
    colour = np.clip(ground * rng.uniform(0.6, 1.2, (n, 1)), 0, 1)
    seen = (rng.random(n) < 0.3) * rng.uniform(0.7, 1, n)
    _limb(canvas, a, b, np.stack([r, r], 1), colour, seen, np.zeros((n, 2)))


# ---------------------------------------------------------------- objects


def _draw_object(canvas: np.ndarray, sketch: Sketch, rng: np.random.Generator) -> None:
    """Projects the parts, fits them into the picture and draws them, the farthest first."""
    n, parts = sketch.n, sketch.parts
    axes = _axes(sketch)  # (n, 3, 3): right, up, towards the viewer
    light = rng.standard_normal((n, 3)) * 0.5 + (0, 0.7, 0.5)
    light /= np.linalg.norm(light, axis=1, keepdims=True)
    a, b, c = (
        np.einsum("nij,pnj->pni", axes, np.stack([getattr(part, name) for part in parts]))
        for name in "abc"
    )
    kinds = np.array([part.kind for part in parts])
    limbs = kinds == LIMB
    c[limbs] = np.stack([part.c for part in parts])[limbs]  # radii, which do not turn
    flip, shift = _fit(sketch, axes, a, b, c, limbs, rng)
    scale = -flip[:, 1]
    nearness = np.where(limbs[:, None], (a + b)[..., 2] / 2 + c[..., 0] * 0.3, a[..., 2])
    order = np.argsort(nearness, axis=0, kind="stable")
    everyone = np.arange(n)
    bright = np.exp(0.15 * rng.standard_normal((n, 1)))
    colour = np.stack([part.colour for part in parts]) * bright
    seen, taper = (np.stack([getattr(part, name) for part in parts]) for name in ("seen", "taper"))
    normal = np.cross(b, c)
    normal *= np.sign(normal[..., 2:]) / (np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9)
    facing = AMBIENT + 0.45 * np.clip((normal * light).sum(axis=-1), -0.2, 1)
    _shadow(canvas, shift, scale, rng)
    for slot in order:
        for kind in (LIMB, ROUND, FLAT):
            rows = everyone[(kinds[slot] == kind) & (seen[slot, everyone] > 0)]
            if not len(rows):
                continue
            part = canvas if len(rows) == n else canvas[:, rows]
            k = slot[rows], rows
            start, paint = a[k][:, :2] * flip[rows] + shift[rows], colour[k]
            one, two = b[k][:, :2] * flip[rows], c[k][:, :2] * flip[rows]
            if kind == LIMB:
                slope = 0.33 * light[rows, :2] * np.sign(flip[rows])
                radii = c[k][:, :2] * scale[rows, None]
                _limb(part, start, one + shift[rows], radii, paint, seen[k], slope)
            else:
                paint = paint * facing[k][:, None]
                _plate(part, start, one, two, taper[k], kind == FLAT, paint, seen[k])
            if part is not canvas:
                canvas[:, rows] = part


def _axes(sketch: Sketch) -> np.ndarray:
    """Rotation matrices (n, 3, 3) of yaw, then pitch, then roll."""
    (cy, cp, cr), (sy, sp, sr) = (
        [f(angle) for angle in (sketch.yaw, sketch.pitch, sketch.roll)] for f in (np.cos, np.sin)
    )
    o, one = np.zeros(sketch.n), np.ones(sketch.n)

    def matrix(*rows: tuple) -> np.ndarray:
        return np.stack([np.stack(row, 1) for row in rows], 1)

    yaw = matrix((cy, o, sy), (o, one, o), (-sy, o, cy))
    pitch = matrix((one, o, o), (o, cp, -sp), (o, sp, cp))
    roll = matrix((cr, -sr, o), (sr, cr, o), (o, o, one))
    return roll @ pitch @ yaw


def _fit(sketch, axes, a, b, c, limbs, rng) -> tuple[np.ndarray, np.ndarray]:
    """Pixels for each unit to the right and down (n, 2) and where the origin lies (n, 2).

    The object fills 0.6 to 1 of the picture's side, mirrored or not; a close-up shows what lies
    around its focus.
    """
    n, flat = sketch.n, ~limbs
    seen = np.stack([part.seen for part in sketch.parts]) > 0.1
    reach = np.where(limbs[:, None, None], c[..., :1], np.abs(b[..., :2]) + np.abs(c[..., :2]))
    ends = np.concatenate([a[..., :2], np.where(flat[:, None, None], a, b)[..., :2]])
    reach, seen = (np.concatenate([array, array]) for array in (reach, seen))
    high = np.where(seen[..., None], ends + reach, -9).max(axis=0)
    low = np.where(seen[..., None], ends - reach, 9).min(axis=0)
    size = (high - low).max(axis=1)
    scale = SIDE * rng.uniform(0.6, 1.02, n) / size
    middle = (high + low) / 2
    focus = np.einsum("nij,nj->ni", axes, sketch.focus)[:, :2]
    close = sketch.close
    scale = scale * (1 - close) + close * SIDE * rng.uniform(0.8, 1.1, n)
    middle += close[:, None] * (focus - middle)
    room = np.maximum(SIDE - size * scale, 0)[:, None] / 2
    centre = SIDE / 2 + rng.uniform(-1, 1, (n, 2)) * (room + 1.5)
    flip = np.stack([scale * np.where(rng.random(n) < 0.5, -1, 1), -scale], 1)  # y goes down
    return flip, centre - middle * flip


def _shadow(canvas, shift, scale, rng) -> None:
    """A dark patch on the ground below half of the objects."""
    n = canvas.shape[1]
    seen = (rng.random(n) < 0.5) * rng.uniform(0.2, 0.6, n)
    o = np.zeros(n)
    u, v = np.stack([scale * 0.9, o], 1), np.stack([o, scale * 0.15], 1)
    dark = np.full((n, 3), 0.08)
    _plate(canvas, shift + rng.normal(0, 1, (n, 2)), u, v, o, False, dark, seen)


# ---------------------------------------------------------------- pixels


def _limb(canvas, a, b, radii, colour, seen, slope) -> None:
    """Draws tapered rods with round ends: places (n, 2) and radii (n, 2) in pixels."""
    a, b, radii, seen, slope = (np.asarray(v, np.float32) for v in (a, b, radii, seen, slope))
    along = b - a
    share = along / ((along**2).sum(axis=1, keepdims=True) + 1e-6)
    across, down = GRID - a[:, :1], GRID - a[:, 1:]
    t = (across * share[:, :1])[:, None, :] + (down * share[:, 1:])[:, :, None]
    np.clip(t, 0, 1, out=t)
    dx = across[:, None, :] - t * along[:, 0, None, None]
    dy = down[:, :, None] - t * along[:, 1, None, None]
    t *= (radii[:, 1] - radii[:, 0])[:, None, None]
    t += radii[:, 0, None, None]  # from here on the radius
    distance = np.sqrt(dx * dx + dy * dy)
    np.subtract(t, distance, out=distance)
    distance += 0.5
    np.clip(distance, 0, 1, out=distance)
    distance *= (seen * np.minimum(1, 2 * radii.max(axis=1)))[:, None, None]
    dx *= slope[:, 0, None, None]
    dy *= slope[:, 1, None, None]
    dx += dy
    dx /= np.maximum(t, 0.5, out=t)
    np.clip(dx, -0.4, 0.4, out=dx)
    dx += 0.95
    _blend(canvas, distance, colour, dx)


def _plate(canvas, middle, u, v, taper, flat, colour, seen) -> None:
    """Draws trapezia if `flat`, else ellipses: places and half axes (n, 2) in pixels."""
    middle, u, v, taper = (np.asarray(value, np.float32) for value in (middle, u, v, taper))
    det = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    det = np.where(np.abs(det) < 0.02, 0.02, det)
    thick_u = np.abs(det) / (np.hypot(*v.T) + 1e-3)  # half widths between opposite edges
    thick_v = np.abs(det) / (np.hypot(*u.T) + 1e-3)
    x, y = GRID - middle[:, :1], GRID - middle[:, 1:]
    det, taper = det[:, None], taper[:, None, None]
    s = (x * v[:, 1:] / det)[:, None, :] - (y * v[:, :1] / det)[:, :, None]
    t = (y * u[:, :1] / det)[:, :, None] - (x * u[:, 1:] / det)[:, None, :]
    thick_u, thick_v = thick_u[:, None, None], thick_v[:, None, None]
    if flat:
        edge = 1 - taper * np.clip(t, -1, 1)
        inside = np.clip((edge - np.abs(s)) * thick_u + 0.5, 0, 1)
        inside *= np.clip((1 - np.abs(t)) * thick_v + 0.5, 0, 1)
    else:
        inside = np.clip((1 - np.sqrt(s * s + t * t)) * np.minimum(thick_u, thick_v) + 0.5, 0, 1)
    thin = np.minimum(1, 2 * thick_u) * np.minimum(1, 2 * thick_v)  # seen from the edge
    inside *= thin * np.asarray(seen, np.float32)[:, None, None]
    _blend(canvas, inside, colour, None)


def _blend(canvas, share, colour, light) -> None:
    """Mixes colour (n, 3), times light (n, 32, 32), into the canvas (3, n, 32, 32)."""
    colour = np.asarray(colour, np.float32)
    for k in range(3):
        wanted = colour[:, k, None, None] if light is None else light * colour[:, k, None, None]
        canvas[k] += share * (wanted - canvas[k])


def _photograph(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, blur and noise; then bytes (n, 32, 32, 3)."""
    n = canvas.shape[1]
    soft = rng.uniform(0, 0.5, (n, 1, 1)).astype(np.float32)
    for axis in (2, 3):
        padded = np.pad(canvas, [(0, 0)] * axis + [(1, 1)] + [(0, 0)] * (3 - axis), mode="edge")
        first, last = padded.take(range(SIDE), axis), padded.take(range(2, SIDE + 2), axis)
        canvas += soft * ((first + last) / 2 - canvas)
    gain = np.exp(0.18 * rng.standard_normal((1, n, 1, 1)))
    tint = np.exp(0.06 * rng.standard_normal((3, n, 1, 1)))
    contrast = rng.uniform(0.7, 1.25, (1, n, 1, 1))
    canvas = (canvas * (gain * tint).astype(np.float32) - 0.47) * contrast.astype(np.float32) + 0.47
    noise = rng.uniform(0.005, 0.04, (1, n, 1, 1)).astype(np.float32)
    canvas += noise * rng.standard_normal(canvas.shape, np.float32)
    return np.rint(255 * np.clip(canvas, 0, 1)).astype(np.uint8).transpose(1, 2, 3, 0)
