"""The ten kinds of object of CIFAR-10 as solids: what `offline_objects.py` draws.

An object is a list of parts in its own space: x forwards, y up, z to the side that is turned to the
viewer, about 2 long. A part is a limb (a tapered rod with round ends) or a plate (a flat ellipse or
trapezium). Every number may differ from image to image: each is an array (n,), each point (n, 3).
"""

from typing import Any, NamedTuple

import numpy as np

Numbers = Any  # a number, or an array (n,) with one for each image
Points = np.ndarray  # (n, 3)


def _colours(hexadecimal: str) -> np.ndarray:
    """Colours (n, 3) between 0 and 1, written as on a web page."""
    return np.array([list(bytes.fromhex(code)) for code in hexadecimal.split()]) / 255


DARK, GLASS, STEEL, WHITE = _colours("121217 293647 999ea8 ebebe6")
PAINTS = _colours("bf1a1a 264099 e6e6e6 8c9199 1a1a1f d9b226 26734c 731f33 6699bf cc7326")
COATS = _colours("8c5c33 613b21 241f1c d9d1c4 b8854c 7a736b a1663d 4c423d")
FROG_SKINS = _colours("4c8026 6b8c33 66572e 405226 856b47 8c9926 333329 b25926")
LIMB, ROUND, FLAT = range(3)  # kinds of part


class Part(NamedTuple):
    """A limb from `a` to `b`, or a plate around `a`; colour (n, 3), `seen` between 0 and 1 (n,)."""

    kind: int  # LIMB, ROUND or FLAT
    a: np.ndarray  # a limb's one end, a plate's middle
    b: np.ndarray  # a limb's other end, a plate's half axis u
    c: np.ndarray  # a limb's two radii and 0, a plate's half axis v
    taper: np.ndarray  # a flat plate is 1 - taper as wide at the end of v, 1 + taper at the other
    colour: np.ndarray
    seen: np.ndarray


class Sketch:
    """Collects the parts of `n` objects of one kind."""

    def __init__(self, n: int, rng: np.random.Generator):
        self.n, self.rng = n, rng
        self.parts: list[Part] = []
        self.yaw = self.spread(0.0, 0.5).clip(-1.4, 1.4)  # radians; 0 shows the side
        self.pitch = self.between(-0.02, 0.35)  # radians; above 0 seen from above
        self.roll = self.spread(0.0, 0.06)
        self.focus = self.point(0, 0, 0)  # what a close-up shows
        self.close = np.zeros(n)  # share of the way to a close-up

    def between(self, low: Numbers, high: Numbers) -> np.ndarray:
        """Evenly spread numbers (n,)."""
        return low + (np.asarray(high) - low) * self.rng.random(self.n)

    def spread(self, mean: Numbers, deviation: Numbers) -> np.ndarray:
        """Normally spread numbers (n,)."""
        return mean + deviation * self.rng.standard_normal(self.n)

    def chance(self, share: Numbers) -> np.ndarray:
        """True for about this share of the images (n,)."""
        return self.rng.random(self.n) < share

    def pick(self, colours: Any, jitter: float = 0.04) -> np.ndarray:
        """One of the colours for each image, varied (n, 3)."""
        colours = np.asarray(colours)
        chosen = colours[self.rng.integers(len(colours), size=self.n)]
        light = 1 + 0.2 * self.rng.standard_normal((self.n, 1))
        return np.clip(chosen * light + jitter * self.rng.standard_normal((self.n, 3)), 0.02, 1)

    def point(self, x: Numbers, y: Numbers, z: Numbers = 0.0) -> np.ndarray:
        """Points (n, 3)."""
        return np.stack([np.broadcast_to(np.asarray(v, float), (self.n,)) for v in (x, y, z)], 1)

    def limb(self, a: Points, b: Points, ra: Numbers, rb: Numbers, colour: Any, seen=1.0) -> None:
        """A rod from `a` to `b` with these radii; with `a` = `b` a ball."""
        self._add(LIMB, a, b, self.point(ra, rb), 0.0, colour, seen)

    def ball(self, middle: Points, r: Numbers, colour: Any, seen=1.0) -> None:
        """A limb that is as long as wide."""
        self.limb(middle, middle, r, r, colour, seen)

    def plate(
        self, middle: Points, u: Points, v: Points, colour: Any, seen=1.0, taper=0.0, kind=FLAT
    ) -> None:
        """A flat piece with half axes `u` and `v`."""
        self._add(kind, middle, u, v, taper, colour, seen)

    def block(self, middle: Points, half: Points, colour: Any, taper=0.0, seen=1.0) -> None:
        """Top, sides and ends of a box with half sizes `half`, its top shorter by `taper`."""
        x, y, z = half.T
        o, p = np.zeros(self.n), self.point
        self.plate(middle + p(o, y, o), p(x * (1 - taper), o, o), p(o, o, z), colour, seen)
        for side in (-1, 1):
            end = middle + p(side * x, o, o)
            self.plate(end, p(o, o, z), p(-side * taper * x, y, o), colour, seen)
            end = middle + p(o, o, side * z)
            self.plate(end, p(x, o, o), p(o, y, o), colour, seen, taper)

    def _add(self, kind, a, b, c, taper, colour, seen) -> None:
        colour = np.broadcast_to(np.asarray(colour, float), (self.n, 3))
        taper, seen = (np.broadcast_to(np.asarray(v, float), (self.n,)) for v in (taper, seen))
        self.parts.append(Part(kind, a, b, c, taper, colour, seen))


def _either(choice: np.ndarray, yes: Any, no: Any) -> np.ndarray:
    """One of two colours for each image (n, 3)."""
    return np.where(choice[:, None], yes, no)


# ---------------------------------------------------------------- things that people build


def airplane(s: Sketch) -> None:
    """An airliner, a fighter or a propeller machine, at any angle in the air or on the ground."""
    p = s.point
    s.yaw, s.pitch = s.between(-1.4, 1.4), s.between(-0.7, 0.9)
    s.roll = s.spread(0, 0.25)
    jet = s.chance(0.7)
    paint = s.pick(np.vstack([PAINTS, [WHITE] * 12, [STEEL] * 8]))
    fin = _either(s.chance(0.5), paint, s.pick(PAINTS))
    r = s.between(0.09, 0.15)
    s.limb(p(-0.5, 0), p(0.8, 0), r, r * 0.9, paint)
    s.limb(p(-1.0, 0.04), p(-0.4, 0), 0.04, r, paint)
    s.limb(p(0.8, 0.02), p(0.93, -0.02), r * 0.75, r * 0.5, _either(jet, GLASS, DARK))
    s.limb(p(-0.6, 0.03, r), p(0.7, 0.03, r), 0.025, 0.025, GLASS, jet * 0.8)
    s.plate(p(-0.88, 0.24), p(0.15, 0), p(-0.12, 0.2), fin, taper=0.4)
    sweep, span, chord = s.between(0.05, 0.55) * jet, s.between(0.75, 1.1), s.between(0.14, 0.24)
    height = np.where(jet, -0.05, s.between(-0.1, 0.2))
    for side in (-1, 1):
        half = p(-sweep / 2, 0.06, side * span / 2)
        s.plate(p(0.12, height) + half, p(chord, 0), half, paint * 0.9, taper=0.4)
        half = p(-0.1, 0.03, side * 0.2)
        s.plate(p(-0.85, 0.05) + half, p(0.12, 0), half, fin * 0.9, taper=0.35)
        engine = p(0.15 - sweep / 3, height - 0.1, side * span * 0.38)
        s.limb(engine - p(0.1, 0), engine + p(0.12, 0), 0.06, 0.08, STEEL, jet)
    s.plate(p(0.98, 0), p(0, 0.3), p(0, 0, 0.04), DARK, ~jet * 0.7)


def automobile(s: Sketch) -> None:
    """A saloon, an estate, a small car or a sports car, mostly at an angle."""
    p = s.point
    s.yaw = s.between(-1.35, 1.35)
    paint = s.pick(PAINTS)
    long, wide = s.between(0.8, 1.05), s.between(0.38, 0.46)
    low, cabin = s.between(0.14, 0.2), s.between(0.12, 0.2)
    s.block(p(0, 0.12 + low), p(long, low, wide), paint, 0.04)
    back = np.where(s.chance(0.4), -0.35, -0.12) * long
    middle, half = p(back, 0.12 + 2 * low + cabin), s.between(0.45, 0.6) * long
    slope = s.between(0.12, 0.4)
    s.block(middle, p(half, cabin, wide * 0.88), paint, slope)
    _windows(s, middle, half, cabin, wide * 0.88, slope)
    _wheels(s, (-0.6 * long, 0.62 * long), s.between(0.17, 0.22), wide)
    _lights(s, long * 1.02, 0.16 + low, wide)


def _windows(s, middle, half, high, wide, slope) -> None:
    p = s.point
    for side in (-1, 1):
        pane = p(half * 0.85, 0), p(0, high * 0.68)
        s.plate(middle + p(0, 0, side * wide * 1.02), *pane, GLASS, taper=slope)
        pane = p(0, 0, wide * 0.85), p(-side * slope * half * 0.7, high * 0.7)
        s.plate(middle + p(side * half * 1.02, 0), *pane, GLASS)


def _wheels(s, places, r, wide) -> None:
    p = s.point
    for x in places:
        for side in (-1, 1):
            hub = p(x, r, side * wide)
            s.limb(hub - p(0, 0, side * 0.08), hub, r, r, DARK)
            hub = hub + p(0, 0, side * 0.06)
            s.plate(hub, p(r * 0.55, 0), p(0, r * 0.55), STEEL, 0.9, kind=ROUND)


def _lights(s, front, high, wide) -> None:
    p = s.point
    for side in (-1, 1):
        for end, colour in ((front, (1.0, 0.97, 0.8)), (-front, (0.7, 0.08, 0.06))):
            s.ball(p(end, high, side * wide * 0.75), 0.06, colour)
    s.plate(p(front, high - 0.06), p(0, 0, wide * 0.5), p(0, 0.05), DARK)


def truck(s: Sketch) -> None:
    """A lorry with a box, an open bed or a tank behind its cab, or a pick-up."""
    p = s.point
    s.yaw = s.between(-1.35, 1.35)
    paint, load = s.pick(PAINTS), s.pick(np.vstack([PAINTS, [WHITE] * 5]))
    load = _either(s.chance(0.35), paint, load)
    kind = s.rng.random(s.n)
    box, tank, bed = kind < 0.55, (kind >= 0.55) & (kind < 0.68), kind >= 0.68
    wide, cab = s.between(0.34, 0.42), s.between(0.26, 0.42)
    nose = s.between(0.14, 0.28) * (s.chance(0.35) | bed)
    tall = s.between(0.34, 0.46)
    s.block(p(-0.1, 0.26), p(0.95, 0.08, wide * 0.8), DARK + 0.1)
    at = p(1 - cab - 2 * nose, 0.28 + tall)
    slope = s.between(0.02, 0.18)
    s.block(at, p(cab, tall, wide), paint, slope)
    _windows(s, at + p(0, tall * 0.35), cab * (1 - slope / 3), tall * 0.45, wide, slope)
    s.block(p(1 - nose, 0.28 + tall * 0.5), p(nose, tall * 0.5, wide * 0.9), paint)
    end = 1 - 2 * cab - 2 * nose - 0.06
    half, rest = (end + 1.05) / 2, (end - 1.05) / 2
    high = np.where(bed, s.between(0.16, 0.26), s.between(0.42, 0.72))
    s.block(p(rest, 0.3 + high), p(half, high, wide), load, seen=~tank)
    r = np.minimum(s.between(0.3, 0.38), half)
    s.limb(p(rest - half + r, 0.36 + r), p(rest + half - r, 0.36 + r), r, r, load, tank)
    band = p(half * 0.98, 0), p(0, s.between(0.04, 0.2))
    s.plate(p(rest, 0.3 + high, wide * 1.02), *band, s.pick(PAINTS), box & s.chance(0.4))
    r = s.between(0.17, 0.23)
    _wheels(s, (-0.72, np.where(s.chance(0.5), -0.35, -0.72), 0.68), r, wide)
    _lights(s, s.between(0.99, 1.02), 0.36, wide)


def ship(s: Sketch) -> None:
    """A freighter, a liner, a motor boat or a sailing boat."""
    p = s.point
    s.yaw, s.pitch = s.between(-1.25, 1.25), s.between(0.0, 0.3)
    hull, house = s.pick(PAINTS), s.pick([WHITE, WHITE, WHITE, STEEL, *PAINTS[:6]])
    kind = s.rng.random(s.n)
    sail, big = kind < 0.2, kind > 0.45
    high, wide = s.between(0.09, 0.2), s.between(0.16, 0.26)
    s.block(p(-0.15, high), p(0.8, high, wide), hull, -0.06)
    s.plate(p(-0.1, 2 * high), p(0.85, 0), p(0, 0, wide), (0.55, 0.45, 0.35))
    for side in (-1, 1):  # the bow: two slanting plates that meet in front
        bow = p(0.21, 0.05, -side * wide / 2)
        s.plate(p(0.86, high, side * wide / 2), bow, p(0.1, high + 0.02), hull)
        stripe = p(0.8, 0), p(0, high * 0.25)
        red = _either(s.chance(0.5), (0.5, 0.12, 0.1), hull * 0.6)
        s.plate(p(-0.15, 0.25 * high, side * wide * 1.02), *stripe, red)
    at, half, storey = s.between(-0.6, 0.1), s.between(0.2, 0.5), s.between(0.09, 0.16)
    for level, share in ((0, 1.0), (1, 0.75), (2, 0.5)):
        seen = ~sail & (big | (level == 0)) & s.chance(1 - 0.25 * level)
        middle = p(at, 2 * high + (2 * level + 1) * storey)
        s.block(middle, p(half * share, storey, wide * 0.75), house, 0.05, seen)
        pane = p(half * share * 0.85, 0), p(0, storey * 0.3)
        s.plate(middle + p(0, 0, wide * 0.77), *pane, GLASS, seen * 0.8)
    top = 2 * high + 2 * storey
    smoke = p(at - half * 0.3, top), p(at - half * 0.35, top + s.between(0.25, 0.6))
    s.limb(*smoke, 0.09, 0.08, s.pick(PAINTS), big & s.chance(0.7))
    cargo = big & s.chance(0.45)
    for place in (0.15, 0.42, 0.68):
        at_c = p(place + np.maximum(0, at), 2 * high + 0.1)
        s.block(at_c, p(0.12, s.between(0.08, 0.16), wide * 0.8), s.pick(PAINTS), seen=cargo)
    mast = s.between(0.7, 1.5)
    s.limb(p(0.1, high), p(0.1, high + mast), 0.025, 0.015, STEEL, sail | s.chance(0.5))
    cloth = s.pick([WHITE, WHITE, WHITE, *PAINTS[:3]])
    tall = s.between(0.5, 0.65)
    s.plate(p(-0.2, 0.42 + tall), p(0.3, 0), p(0.26, tall), cloth, sail, 0.95)
    s.plate(p(0.42, 0.4 + tall * 0.8), p(0.24, 0), p(-0.24, tall * 0.8), cloth * 0.93, sail, 0.95)


# ---------------------------------------------------------------- animals


class Head(NamedTuple):
    """Measures of a head; `ear` is where an ear begins and ends, upwards and sideways."""

    skull: Numbers
    snout: Numbers  # how far it stands out
    muzzle: Numbers  # its radius at the nose
    ear: tuple[Numbers, Numbers, Numbers, Numbers]
    ear_radii: tuple[Numbers, Numbers]


def _head(s: Sketch, at, turn, tilt, head: Head, coat, face, ears, iris) -> tuple:
    """Skull, snout, ears, eyes and nose; gives the head's axes forwards, sideways and up."""
    ahead = s.point(np.cos(turn) * np.cos(tilt), np.sin(tilt), np.sin(turn) * np.cos(tilt))
    across = s.point(-np.sin(turn), 0, np.cos(turn))
    up = np.cross(across, ahead)
    size, out = _column(s, head.skull), _column(s, head.snout)
    s.limb(at, at + 0.15 * size * ahead, head.skull, np.asarray(head.skull) * 0.9, coat)
    nose = at + ahead * (size * 0.8 + out) - up * size * 0.3
    s.limb(at + ahead * size * 0.45 - up * size * 0.25, nose, size[:, 0] * 0.55, head.muzzle, face)
    s.ball(nose + ahead * _column(s, head.muzzle), size[:, 0] * 0.2, DARK)
    low, in_, high, out_ = (_column(s, v) for v in head.ear)
    for side in (-1, 1):
        ear = at + up * low + side * across * in_, at + up * high + side * across * out_
        s.limb(*ear, *head.ear_radii, ears)
        eye = at + size * (0.85 * ahead + 0.28 * up + 0.48 * side * across)
        s.ball(eye, size[:, 0] * 0.2, iris)
        s.ball(eye + 0.1 * size * ahead, size[:, 0] * 0.11, DARK)
    return ahead, across, up


def _column(s: Sketch, numbers: Numbers) -> np.ndarray:
    return np.broadcast_to(np.asarray(numbers, float), (s.n,))[:, None]


def _four_legs(s: Sketch, chest, hip, apart, r, coat, socks, down) -> None:
    """Legs from chest and hip to the ground at y = 0; `down` is how far a lying one is folded."""
    for body, front in ((chest, True), (hip, False)):
        for side in (-1, 1):
            swing = s.spread(0, 0.13) + 0.3 * down * (1 if front else 1.2)
            top = body + s.point(0, -0.04, side * apart)
            foot = s.point(body[:, 0] + swing, 0.04, side * apart * (1 + 0.6 * down))
            knee = (top + foot) / 2 + s.point((0.06 if front else -0.1) - 0.2 * down, 0.0)
            s.limb(top, knee, r * (1.35 if front else 1.9), r, coat)
            s.limb(knee, foot, r * 0.95, r * 0.75, socks)


def _pet(s: Sketch, build: Head, coat, face, socks, ears, iris, body, tail) -> None:
    """A cat or a dog: standing, sitting, lying or only its face; `body` and `tail` are measures."""
    p = s.point
    kind = s.rng.random(s.n)
    sits, lies = kind < 0.35, (kind >= 0.35) & (kind < 0.55)
    s.close = s.chance(0.4) * s.between(0.3, 1.0)
    long, r, leg, neck = body
    stand = np.where(lies, r * 1.05, leg + r * 0.6)
    chest = p(np.where(sits, 0.2, long / 2), np.where(sits, leg + 0.3, stand))
    hip = p(np.where(sits, -0.25, -long / 2), np.where(sits, r * 1.1, stand))
    s.limb(hip, chest, r * 1.05, r, coat)
    s.limb(chest + p(0.08, -0.05), chest + p(0.06, -0.2), r * 0.7, r * 0.5, face)
    _four_legs(s, chest, hip, r * 0.55, r * 0.36, coat, socks, sits | lies)
    at = chest + p(neck * 0.8, neck + r * 0.3)
    s.limb(chest, at, r * 0.8, np.asarray(build.skull) * 0.7, coat)
    turn = s.between(-0.3, 1.0) * (np.pi / 2 + s.yaw) * s.chance(0.8)
    _head(s, at, turn, s.spread(-0.1, 0.2), build, coat, face, ears, iris)
    s.focus = at
    up, size, thick = tail
    bend = hip + p(-r - size / 2, up * size / 2)
    s.limb(hip + p(-r * 0.6, r * 0.4), bend, thick, thick, coat)
    s.limb(bend, bend + p(-size / 4, up * size / 2 + s.spread(0, 0.1)), thick, thick * 0.7, coat)


def cat(s: Sketch) -> None:
    """A round head, pointed ears, a short nose, often stripes."""
    p = s.point
    coat = s.pick(np.vstack([COATS, [(0.75, 0.45, 0.2), (0.5, 0.48, 0.45)]]))
    skull = s.between(0.27, 0.33)
    build = Head(skull, -0.03, 0.1, (0.14, 0.18, skull * 1.55, skull), (skull * 0.42, 0.02))
    face = _either(s.chance(0.35), WHITE, coat * 1.1)
    body = s.between(0.8, 1.05), s.between(0.21, 0.27), s.between(0.25, 0.36), 0.15
    tail = s.between(-0.3, 1.2), s.between(0.5, 0.8), 0.055
    iris = s.pick([(0.75, 0.75, 0.2), (0.4, 0.7, 0.4), (0.4, 0.6, 0.8)])
    _pet(s, build, coat, face, face, coat * 0.9, iris, body, tail)
    trunk, striped = s.parts[0], s.chance(0.45)
    for share in (0.15, 0.4, 0.65, 0.9):
        top = trunk.a + share * (trunk.b - trunk.a)
        r = trunk.c[:, 0]
        stripe = top + p(0, r * 0.85, r * 0.3), top + p(0, -r * 0.2, r)
        s.limb(*stripe, 0.035, 0.02, coat * 0.45, striped)
    top = s.focus + p(0, skull, 0)
    s.limb(top, top - p(0, 0.15, -skull * 0.8), 0.03, 0.02, coat * 0.45, striped)


def dog(s: Sketch) -> None:
    """A long snout, mostly hanging ears, a tail held up."""
    coat, other = s.pick(COATS), s.pick(COATS)
    skull = s.between(0.22, 0.28)
    hang = s.chance(0.75)
    high, wide = np.where(hang, -0.75 * skull, 1.5 * skull), np.where(hang, 1.3, 0.9) * skull
    ear, radii = (skull * 0.5, skull * 0.8, high, wide), (skull * 0.36, np.where(hang, 0.11, 0.03))
    build = Head(skull, s.between(0.12, 0.3), s.between(0.1, 0.14), ear, radii)
    face = _either(s.chance(0.5), coat * 1.1, other)
    body = s.between(0.85, 1.15), s.between(0.22, 0.3), s.between(0.3, 0.6), s.between(0.15, 0.3)
    tail = s.between(0.0, 1.5), s.between(0.25, 0.5), 0.06
    ears = _either(s.chance(0.5), coat * 0.7, other)
    socks = _either(s.chance(0.4), face, coat)
    _pet(s, build, coat, face, socks, ears, (0.2, 0.12, 0.06), body, tail)


def _grazer(s: Sketch, build: Head, coat, legs, body, neck, nod) -> tuple:
    """The body that deer and horse share; gives the head's place and axes, and the neck's foot."""
    p = s.point
    s.close = s.chance(0.25) * s.between(0.2, 0.8)
    long, r, leg, thin = body
    chest, hip = p(long / 2, leg + r * 0.7), p(-long / 2, leg + r * 0.7)
    s.limb(hip, chest, r, r, coat)
    _four_legs(s, chest, hip, r * 0.5, thin, coat, legs, 0.15 * s.chance(0.2))
    lean, size, thick = neck
    grazing = s.chance(0.2)
    lean = np.where(grazing, -0.7, lean)
    base = chest + p(r * 0.3, r * 0.4)
    at = base + p(size * np.cos(lean), size * np.sin(lean))
    s.limb(chest + p(0.05, r * 0.1), at, thick, np.asarray(build.skull) * 0.8, coat)
    s.focus = at
    turn = s.between(-0.2, 1.0) * (np.pi / 2 + s.yaw) * s.chance(0.5)
    axes = _head(s, at, turn, np.where(grazing, -0.9, nod), build, coat, legs, coat, DARK)
    return at, axes, base, hip


def deer(s: Sketch) -> None:
    """Slender legs and neck, ears to the sides, a white tail, often antlers."""
    p = s.point
    coat = s.pick([*COATS[[0, 4, 6, 5, 1]], (0.6, 0.42, 0.26)])
    build = Head(0.17, 0.18, 0.08, (0.1, 0.12, 0.22, 0.4), (0.09, 0.04))
    body = s.between(0.8, 1.0), s.between(0.2, 0.27), s.between(0.5, 0.75), 0.055
    neck = s.between(0.8, 1.5), s.between(0.4, 0.6), s.between(0.13, 0.18)
    nod = s.spread(-0.25, 0.2)
    at, (_, across, up), _, hip = _grazer(s, build, coat, coat * 0.9, body, neck, nod)
    tail = hip + p(-body[1], 0.1)
    s.limb(tail, tail - p(0.05, 0.1), 0.07, 0.05, WHITE)
    antlers, size = s.chance(0.55), _column(s, s.between(0.4, 0.7))
    horn = s.pick([(0.45, 0.33, 0.22), (0.7, 0.6, 0.45)])
    for side in (-1, 1):
        fork = at + up * 0.12 + size * (0.5 * up + 0.45 * side * across)
        s.limb(at + up * 0.12, fork, 0.045, 0.04, horn, antlers)
        s.limb(fork, fork + size * (0.6 * up - 0.1 * side * across), 0.04, 0.03, horn, antlers)
        s.limb(fork, fork + size * (0.3 * up + 0.45 * side * across), 0.04, 0.03, horn, antlers)
    for place in (-0.3, 0.0, 0.3):
        s.ball(p(place, hip[:, 1] + 0.08, body[1]), 0.03, WHITE, s.chance(0.2))


def horse(s: Sketch) -> None:
    """A heavy body, a thick neck with a mane, a long head, a long tail."""
    p = s.point
    coat = s.pick(COATS)
    hair = _either(s.chance(0.6), s.pick([DARK, (0.2, 0.13, 0.08)]), s.pick(COATS))
    build = Head(0.17, s.between(0.24, 0.34), 0.1, (0.12, 0.08, 0.28, 0.1), (0.05, 0.02))
    body = s.between(0.8, 1.05), s.between(0.27, 0.34), s.between(0.5, 0.68), 0.075
    neck = s.between(0.5, 1.1), s.between(0.45, 0.62), s.between(0.2, 0.25)
    legs = _either(s.chance(0.3), hair, coat)
    at, _, base, hip = _grazer(s, build, coat, legs, body, neck, s.spread(-0.6, 0.2))
    s.limb(at + p(-0.08, 0.12), base + p(-0.22, 0.12), 0.07, 0.12, hair)
    tail, r = hip + p(-body[1] * 0.9, 0.1), body[1]
    s.limb(tail, tail + p(-s.between(0.1, 0.35), -0.3), 0.06, 0.09, hair)
    s.limb(tail + p(-0.15, -0.25), tail + p(-s.between(0.1, 0.3), -0.6), 0.09, 0.03, hair)
    rider, seat = s.chance(0.12), p(0, hip[:, 1] + r + 0.12)
    s.limb(seat, seat + p(0.0, 0.4), 0.13, 0.12, s.pick(PAINTS), rider)
    s.ball(seat + p(0.03, 0.62), 0.11, (0.75, 0.55, 0.45), rider)


def bird(s: Sketch) -> None:
    """A perching, wading, swimming or flying bird."""
    p = s.point
    plume, other = s.pick(np.vstack([COATS, PAINTS])), s.pick(np.vstack([COATS, PAINTS]))
    kind = s.rng.random(s.n)
    flies, wades = kind < 0.35, kind > 0.7
    s.yaw = np.where(flies, s.between(-1.4, 1.4), s.spread(0, 0.6).clip(-1.4, 1.4))
    s.pitch = np.where(flies, s.between(-0.6, 0.8), s.pitch)
    s.close = s.chance(0.2) * s.between(0.2, 0.7) * ~flies
    r, rise = s.between(0.2, 0.32), np.where(flies, s.spread(0, 0.1), s.between(0.0, 0.5))
    breast, rump = p(0.25, rise * 0.5), p(-0.3, -rise * 0.4)
    s.limb(rump, breast, r * 0.75, r, plume)
    s.limb(breast + p(0.05, -r * 0.3), rump + p(0.1, -r * 0.2), r * 0.75, r * 0.5, other)
    size = np.where(wades, s.between(0.4, 0.8), s.between(0.12, 0.22))
    at = breast + p(np.where(flies, size * 1.2, size * 0.4), np.where(flies, 0.08, size + r * 0.5))
    skull = np.where(wades, 0.13, s.between(0.15, 0.22))
    s.limb(breast + p(r * 0.3, r * 0.3), at, np.where(wades, 0.1, r * 0.7), skull * 0.7, plume)
    s.ball(at, skull, _either(s.chance(0.5), plume, other))
    beak = s.pick([(0.9, 0.6, 0.1), (0.25, 0.22, 0.2), (0.8, 0.35, 0.15)])
    lift, span, chord = s.between(-0.35, 0.8), s.between(0.75, 1.1), s.between(0.2, 0.28)
    tip = at + p(skull + s.between(0.1, 0.28), -0.05)
    s.limb(at + p(skull * 0.8, 0), tip, 0.07, 0.015, beak)
    for side in (-1, 1):
        s.ball(at + p(skull * 0.5, skull * 0.25, side * skull * 0.8), 0.035, DARK)
        half = p(-0.1, lift * span / 2, side * span / 2)
        s.plate(p(0.05, 0.05) + half, p(chord, 0), half, plume * 0.8, flies, taper=0.6)
        fold = p(-0.12, 0.02, side * r * 0.85)
        wing = fold + p(0.25, rise * 0.4), fold - p(0.35, rise * 0.5)
        s.limb(*wing, r * 0.5, 0.05, plume * 0.7, ~flies)
        leg = p(-0.02, -r * 0.6, side * 0.09)
        long = np.where(wades, s.between(0.5, 0.8), 0.3)
        s.limb(leg, leg - p(0.0, long), 0.03, 0.025, beak * 0.8, ~flies & s.chance(0.8))
    fan = p(0, 0, 0.11), p(-0.26, -rise * 0.4 + 0.02)
    s.plate(rump - p(0.38, rise * 0.5), *fan, plume * 0.75, taper=-0.4)
    s.limb(rump, rump - p(0.5, rise * 0.6), 0.1, 0.06, plume * 0.75)
    s.focus = at


def frog(s: Sketch) -> None:
    """A squat body, folded hind legs, bulging eyes, a wide mouth."""
    p = s.point
    skin = s.pick(FROG_SKINS)
    belly = _either(s.chance(0.6), np.clip(skin + 0.28, 0, 1), skin)
    s.yaw, s.pitch = s.between(-1.4, 1.4), s.between(0.0, 1.2)
    s.close = s.chance(0.2) * s.between(0.2, 0.6)
    r, rise = s.between(0.3, 0.38), s.between(0.05, 0.35)
    rump, neck = p(-0.4, 0.3), p(0.2, 0.32 + rise)
    s.limb(rump, neck, r * 0.85, r, skin)
    s.limb(neck + p(0, -0.1), rump + p(0.3, -0.1), r * 0.85, r * 0.7, belly)
    face = neck + p(0.3, 0.02)
    spots = s.chance(0.4)
    iris = s.pick([(0.85, 0.7, 0.2), (0.8, 0.3, 0.15), DARK])
    for side in (-1, 1):
        z = side * r
        s.limb(neck, face + p(0, 0.0, side * 0.1), r * 0.9, r * 0.6, skin)
        eye = neck + p(0.2, r * 0.85, side * 0.22)
        s.limb(eye - p(0, 0.05), eye, 0.13, 0.11, skin)
        ball = eye + p(0.05, 0.03, side * 0.07)
        s.ball(ball, 0.085, iris)
        s.ball(ball + p(0.04, 0.0, side * 0.04), 0.05, DARK)
        mouth = face + p(0.2, -0.12, side * 0.05), face + p(-0.15, -0.1, z * 0.85)
        s.limb(*mouth, 0.025, 0.02, skin * 0.35)
        knee, out = p(0.05, 0.42, side * (r + 0.22)), s.between(0.1, 0.3)
        s.limb(rump + p(0, 0, z * 0.6), knee, 0.2, 0.13, skin * 0.93)
        heel = p(-0.5, 0.08, side * (r + out))
        s.limb(knee, heel, 0.13, 0.07, skin * 0.85)
        s.limb(heel, heel + p(0.5, -0.05, side * 0.15), 0.06, 0.04, belly * 0.8)
        elbow = p(0.2, 0.2, side * (r + 0.1))
        s.limb(neck + p(0.05, -0.1, z * 0.7), elbow, 0.1, 0.07, skin * 0.9)
        s.limb(elbow, elbow + p(0.2, -0.2, side * 0.05), 0.07, 0.04, belly * 0.8)
        for place in (-0.35, -0.1):
            s.ball(p(place, 0.3 + r * 0.7 + rise * 0.5, z * 0.5), 0.07, skin * 0.5, spots)
    s.focus = face


# In the order of CIFAR-10's labels.
DRAWERS = (airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck)
