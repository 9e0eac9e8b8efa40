"""The pen paths of the ten digits, in the ways people write them, as plain data.

`PEN_PATHS[digit]` lists the ways to write that digit. Each way is a weight (how often it is taken)
and its strokes. A stroke is a list of points (x, y) that the pen passes in order along a smooth
curve: x to the right, y down, the digit about 1 high. A point given twice is a sharp corner.
"""

import numpy as np

Stroke = list[tuple[float, float]]

# fmt: off
PEN_PATHS: dict[int, list[tuple[float, list[Stroke]]]] = {
    0: [
        # one oval, begun at the top
        (4, [[(.40, .01), (.08, .26), (.08, .76), (.36, .98), (.64, .70), (.62, .24), (.38, .01)]]),
        # the end runs over the beginning
        (3, [[(.50, .06), (.14, .16), (.04, .66), (.34, .98), (.66, .66), (.58, .16), (.28, .06)]]),
        # not quite closed
        (1, [[(.30, .04), (.05, .36), (.14, .90), (.48, .94), (.66, .56), (.58, .20), (.44, .07)]]),
        # wide, round
        (2, [[(.48, .04), (.08, .25), (.10, .75), (.50, .98), (.88, .72), (.86, .24), (.44, .04)]]),
        # the end runs on into the bowl
        (1, [[(.58, .10), (.30, .06), (.05, .46), (.16, .90), (.46, .94), (.66, .50), (.48, .06),
              (.22, .12), (.18, .28)]]),
        # the end leaves to the right
        (1, [[(.40, .04), (.08, .32), (.10, .82), (.40, .96), (.62, .58), (.40, .10), (.54, .02),
              (.76, .02)]]),
    ],
    1: [
        # a plain stroke
        (8, [[(.30, .00), (.30, .50), (.30, 1.0)]]),
        # slightly bent
        (2, [[(.35, .00), (.28, .50), (.32, 1.0)]]),
        # with a flag
        (1, [[(.12, .22), (.30, .00), (.30, .00), (.30, .50), (.30, 1.0)]]),
        # with flag and base
        (.5, [[(.08, .20), (.30, .00), (.30, .00), (.30, .50), (.30, 1.0)],
              [(.05, 1.0), (.58, 1.0)]]),
    ],
    2: [
        # sharp corner at the foot
        (4, [[(.05, .22), (.20, .04), (.45, .00), (.60, .20), (.50, .50), (.25, .80), (.00, 1.0),
              (.00, 1.0), (.35, .98), (.70, .98)]]),
        # small loop at the foot
        (4, [[(.05, .20), (.25, .02), (.50, .05), (.58, .30), (.40, .65), (.15, .93), (.03, .92),
              (.06, .78), (.22, .78), (.42, .92), (.60, .98), (.75, .90)]]),
        # round loop at the foot, straight tail
        (4, [[(.10, .16), (.32, .00), (.54, .12), (.50, .42), (.36, .76), (.16, .97), (.00, .90),
              (.04, .70), (.22, .68), (.40, .88), (.60, .97), (.85, .99)]]),
        # almost a Z
        (1, [[(.05, .08), (.35, .02), (.58, .08), (.55, .25), (.30, .60), (.00, .97), (.00, .97),
              (.35, .95), (.70, .98)]]),
        # wavy foot
        (2, [[(.08, .25), (.30, .00), (.55, .15), (.45, .50), (.20, .80), (.02, .97), (.02, .97),
              (.20, .86), (.45, .95), (.75, 1.0)]]),
        # curled beginning
        (1, [[(.16, .32), (.05, .20), (.20, .03), (.50, .03), (.58, .25), (.42, .60), (.08, .95),
              (.08, .95), (.40, .93), (.72, .96)]]),
        # big flat loop at the foot, the tail far to the right
        (4, [[(.10, .20), (.30, .00), (.55, .08), (.56, .34), (.36, .70), (.12, .95), (-.02, .84),
              (.14, .70), (.40, .84), (.66, .98), (.95, .88)]]),
        # head curled in, loop at the foot
        (2, [[(.28, .34), (.08, .26), (.16, .05), (.44, .00), (.58, .22), (.44, .62), (.16, .92),
              (.00, .90), (.08, .75), (.34, .84), (.72, .98)]]),
        # foot without corner or loop
        (1, [[(.05, .15), (.28, .00), (.52, .10), (.50, .38), (.26, .70), (.05, .92), (.28, .99),
              (.70, .92)]]),
        # wide loop at the foot, short tail
        (4, [[(.05, .25), (.20, .05), (.48, .00), (.66, .20), (.60, .52), (.36, .88), (.12, .95),
              (.02, .82), (.20, .68), (.48, .75), (.74, .96)]]),
        # small head, the loop's tail falls
        (1, [[(.12, .22), (.28, .04), (.46, .06), (.50, .26), (.40, .58), (.18, .86), (.02, .80),
              (.10, .64), (.34, .70), (.60, .92), (.80, 1.0)]]),
        # upright back, small loop, the tail ends below
        (1, [[(.10, .12), (.30, .00), (.46, .14), (.44, .45), (.34, .82), (.18, .98), (.04, .88),
              (.16, .74), (.36, .86), (.56, 1.0)]]),
    ],
    3: [
        # two bows and a corner between them
        (4, [[(.08, .12), (.30, .00), (.55, .10), (.52, .32), (.25, .46), (.25, .46), (.55, .55),
              (.65, .78), (.40, .98), (.05, .90)]]),
        # flat top
        (1, [[(.05, .03), (.55, .03), (.55, .03), (.28, .40), (.28, .40), (.55, .50), (.62, .75),
              (.40, .98), (.05, .90)]]),
        # small loop in the middle
        (2, [[(.08, .12), (.30, .00), (.55, .12), (.45, .38), (.25, .48), (.20, .42), (.32, .42),
              (.60, .58), (.62, .82), (.35, 1.0), (.02, .88)]]),
        # without a corner
        (2, [[(.05, .10), (.35, .00), (.58, .18), (.42, .42), (.30, .46), (.45, .50), (.62, .70),
              (.42, .97), (.03, .92)]]),
        # long top, short middle
        (2, [[(.00, .10), (.26, .02), (.58, .06), (.50, .26), (.32, .42), (.32, .42), (.56, .50),
              (.60, .74), (.38, .94), (.00, 1.0)]]),
        # large lower bow
        (1, [[(.12, .08), (.34, .00), (.48, .14), (.34, .32), (.18, .38), (.18, .38), (.52, .42),
              (.68, .68), (.46, .96), (.04, .94)]]),
        # the tail falls without a hook
        (1, [[(.05, .10), (.35, .00), (.55, .15), (.30, .45), (.30, .45), (.55, .54), (.58, .76),
              (.46, 1.0)]]),
    ],
    4: [
        # open, two strokes
        (4, [[(.12, .05), (.05, .30), (.02, .52), (.02, .52), (.35, .54), (.70, .50)],
             [(.54, .02), (.50, .50), (.45, 1.0)]]),
        # closed to a triangle
        (2, [[(.50, .00), (.25, .30), (.00, .60), (.00, .60), (.35, .61), (.75, .58)],
             [(.50, .00), (.50, .50), (.48, 1.0)]]),
        # open, round bowl
        (2, [[(.08, .08), (.05, .35), (.15, .52), (.35, .50), (.54, .38)],
             [(.58, .05), (.50, .50), (.42, 1.0)]]),
        # one stroke, like a y
        (2, [[(.10, .10), (.06, .40), (.25, .50), (.48, .35), (.58, .05), (.58, .05), (.52, .50),
              (.45, 1.0)]]),
        # the stem begins half way down
        (1, [[(.40, .00), (.20, .30), (.00, .58), (.00, .58), (.35, .58), (.70, .56)],
             [(.50, .28), (.46, .65), (.42, 1.0)]]),
        # wide, like an h on its head
        (1, [[(.06, .00), (.04, .28), (.06, .50), (.06, .50), (.36, .52), (.60, .48)],
             [(.62, .00), (.62, .50), (.64, 1.0)]]),
    ],
    5: [
        # hat drawn last
        (3, [[(.15, .05), (.10, .42), (.10, .42), (.35, .38), (.58, .60), (.45, .93), (.05, .95)],
             [(.15, .05), (.40, .04), (.68, .00)]]),
        # one stroke
        (3, [[(.65, .00), (.40, .04), (.18, .05), (.18, .05), (.10, .42), (.10, .42), (.35, .36),
              (.60, .58), (.50, .90), (.05, .95)]]),
        # almost an S
        (2, [[(.68, .02), (.30, .05), (.15, .26), (.35, .45), (.58, .65), (.42, .95), (.02, .95)]]),
        # long hat, small belly
        (2, [[(.20, .15), (.15, .48), (.15, .48), (.38, .48), (.48, .70), (.32, .95), (.00, .96)],
             [(.20, .12), (.50, .08), (.90, .00)]]),
        # round belly, short hat
        (3, [[(.16, .04), (.12, .40), (.12, .40), (.34, .32), (.60, .48), (.62, .78), (.36, .99),
              (.00, .90)], [(.16, .04), (.34, .04), (.54, .00)]]),
        # belly hangs straight from the hat
        (2, [[(.62, .02), (.40, .05), (.20, .04), (.20, .04), (.16, .34), (.40, .44), (.58, .66),
              (.46, .92), (.16, 1.0), (.00, .86)]]),
        # belly curled in
        (2, [[(.64, .00), (.20, .05), (.20, .05), (.10, .40), (.38, .36), (.66, .58), (.50, .94),
              (.18, 1.0), (.02, .80)]]),
    ],
    6: [
        # curved back
        (3, [[(.50, .00), (.20, .25), (.03, .60), (.12, .93), (.40, .97), (.55, .75), (.40, .55),
              (.15, .65), (.06, .80)]]),
        # straight back
        (2, [[(.36, .00), (.15, .40), (.05, .75), (.22, .98), (.50, .88), (.50, .62), (.28, .57),
              (.08, .74)]]),
        # small loop
        (2, [[(.55, .02), (.25, .30), (.05, .70), (.20, .97), (.45, .90), (.45, .70), (.25, .68),
              (.10, .82)]]),
        # long straight back, the loop flat at its foot
        (3, [[(.48, .00), (.26, .36), (.06, .72), (.10, .95), (.34, .97), (.56, .80), (.54, .62),
              (.36, .62), (.18, .84)]]),
        # loop not closed
        (1, [[(.45, .00), (.15, .30), (.04, .68), (.20, .97), (.50, .88), (.52, .66), (.35, .58),
              (.22, .66)]]),
        # wide flat loop
        (2, [[(.34, .00), (.12, .34), (.04, .74), (.28, .98), (.66, .92), (.78, .70), (.52, .58),
              (.24, .74), (.14, .90)]]),
        # large loop
        (1, [[(.42, .00), (.14, .28), (.03, .64), (.18, .96), (.50, .92), (.60, .66), (.40, .48),
              (.18, .56), (.06, .74)]]),
        # the loop curls inside
        (3, [[(.28, .00), (.08, .38), (.06, .78), (.32, 1.0), (.66, .86), (.70, .58), (.50, .48),
              (.34, .62), (.40, .84)]]),
    ],
    7: [
        # bar and slanted stem
        (4, [[(.00, .05), (.30, .04), (.62, .03), (.62, .03), (.42, .45), (.25, 1.0)]]),
        # serif at the left
        (2, [[(.02, .20), (.04, .05), (.04, .05), (.34, .05), (.62, .03), (.62, .03), (.42, .45),
              (.25, 1.0)]]),
        # rounded
        (2, [[(.00, .14), (.22, .02), (.48, .02), (.60, .18), (.45, .52), (.32, 1.0)]]),
        # with a bar across
        (1.5, [[(.00, .06), (.30, .04), (.62, .03), (.62, .03), (.42, .45), (.25, 1.0)],
               [(.16, .50), (.60, .47)]]),
        # upright stem
        (2, [[(.00, .06), (.30, .04), (.60, .03), (.60, .03), (.55, .50), (.50, 1.0)]]),
        # wavy bar
        (1, [[(.02, .18), (.12, .03), (.35, .10), (.62, .02), (.62, .02), (.40, .45), (.22, 1.0)]]),
        # long serif
        (1, [[(.02, .40), (.04, .10), (.04, .10), (.34, .06), (.62, .04), (.62, .04), (.54, .50),
              (.44, 1.0)]]),
        # short stem, flat
        (1, [[(.00, .12), (.34, .06), (.80, .00), (.80, .00), (.56, .36), (.34, .80)]]),
    ],
    8: [
        # an S and back up
        (4, [[(.55, .12), (.30, .00), (.10, .15), (.20, .38), (.45, .55), (.56, .80), (.30, 1.0),
              (.05, .82), (.20, .55), (.45, .35), (.57, .12)]]),
        # two loops
        (1, [[(.30, .46), (.10, .30), (.15, .06), (.38, .02), (.54, .22), (.32, .46)],
             [(.30, .46), (.06, .65), (.08, .92), (.36, 1.0), (.58, .80), (.50, .56), (.32, .46)]]),
        # open at the top
        (2, [[(.50, .16), (.28, .02), (.08, .18), (.22, .40), (.46, .58), (.52, .84), (.28, 1.0),
              (.06, .82), (.22, .56), (.46, .32), (.66, .02)]]),
        # begun in the middle
        (2, [[(.30, .45), (.10, .25), (.30, .00), (.52, .20), (.30, .47), (.05, .75), (.30, 1.0),
              (.56, .75), (.30, .45)]]),
        # narrow, begun high at the right
        (3, [[(.56, .02), (.28, .06), (.14, .24), (.30, .44), (.42, .66), (.38, .92), (.18, .98),
              (.10, .78), (.26, .52), (.46, .26), (.56, .06)]]),
        # small foot, large head
        (1, [[(.56, .18), (.34, .00), (.06, .12), (.10, .38), (.36, .54), (.46, .76), (.32, .98),
              (.12, .86), (.22, .62), (.52, .40), (.56, .16)]]),
        # both ends free
        (2, [[(.58, .04), (.28, .06), (.14, .22), (.30, .42), (.48, .62), (.42, .90), (.16, .98),
              (.06, .80), (.24, .56), (.52, .32), (.74, .00)]]),
    ],
    9: [
        # loop and straight stem
        (4, [[(.55, .15), (.30, .00), (.05, .20), (.15, .48), (.42, .42), (.55, .12), (.55, .12),
              (.52, .50), (.45, 1.0)]]),
        # stem ends in a hook
        (1, [[(.55, .15), (.30, .00), (.05, .20), (.15, .46), (.42, .42), (.56, .12), (.56, .12),
              (.56, .60), (.45, .92), (.10, .95)]]),
        # small loop
        (2, [[(.50, .10), (.25, .02), (.05, .20), (.18, .38), (.42, .30), (.52, .05), (.52, .05),
              (.42, .50), (.30, 1.0)]]),
        # loop closed from the stem
        (2, [[(.50, .32), (.30, .46), (.08, .32), (.18, .06), (.45, .04), (.56, .28), (.50, .65),
              (.42, 1.0)]]),
        # narrow slanted loop, straight stem
        (3, [[(.50, .06), (.30, .00), (.10, .18), (.08, .38), (.24, .46), (.44, .30), (.54, .02),
              (.54, .02), (.42, .56), (.30, 1.0)]]),
        # the loop begins far to the right
        (2, [[(.62, .06), (.36, .02), (.08, .22), (.16, .46), (.42, .36), (.58, .10), (.58, .10),
              (.48, .56), (.36, 1.0)]]),
        # wide flat loop
        (1, [[(.62, .16), (.36, .02), (.02, .18), (.06, .40), (.34, .42), (.62, .20), (.62, .20),
              (.56, .56), (.44, 1.0)]]),
        # round loop, the stem runs straight down its side
        (2, [[(.52, .10), (.26, .02), (.04, .24), (.16, .50), (.42, .44), (.54, .10), (.54, .10),
              (.54, .50), (.54, 1.0)]]),
        # loop open at the top
        (1, [[(.40, .00), (.12, .10), (.04, .32), (.26, .46), (.48, .32), (.54, .06), (.54, .06),
              (.48, .50), (.36, 1.0)]]),
        # the stem begins below the top
        (2, [[(.58, .02), (.32, .08), (.08, .32), (.20, .46), (.46, .26), (.46, .26), (.42, .60),
              (.30, 1.0)]]),
        # large loop, short stem
        (2, [[(.60, .10), (.32, .00), (.04, .25), (.12, .58), (.40, .56), (.62, .12), (.62, .12),
              (.60, .60), (.60, 1.0)]]),
    ],
}
# fmt: on


def _curve_matrix(stroke: Stroke, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """A Catmull-Rom spline through the stroke's points, as a matrix times its distinct points.

    Returns `matrix` (n_points, n_distinct) and `points` (n_distinct, 2), so that
    `matrix @ points` are places along the curve; it stays right when the points are moved.
    """
    index, points = [], []
    for here, before in zip(stroke, [None, *stroke[:-1]], strict=True):
        if here != before:
            points.append(here)
        index.append(len(points) - 1)
    spans = [i for i in range(len(index) - 1) if index[i] != index[i + 1]]
    chords = [np.hypot(*np.subtract(stroke[i + 1], stroke[i])) for i in spans]
    ends = np.cumsum([0.0, *chords])
    matrix = np.zeros((n_points, len(points)))
    for row, along in enumerate(np.linspace(0.0, ends[-1], n_points)):
        span = min(int(np.searchsorted(ends, along, side="right")) - 1, len(spans) - 1)
        t = (along - ends[span]) / chords[span]
        weights = (
            -t / 2 + t**2 - t**3 / 2,
            1 - 5 * t**2 / 2 + 3 * t**3 / 2,
            t / 2 + 2 * t**2 - 3 * t**3 / 2,
            -(t**2) / 2 + t**3 / 2,
        )
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            neighbour = min(max(spans[span] + offset, 0), len(index) - 1)
            matrix[row, index[neighbour]] += weight
    return matrix, np.array(points)


def _stack_strokes(strokes: list[Stroke], n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """`_curve_matrix` for all strokes of one digit, the points shared out by stroke length."""
    lengths = np.array([np.hypot(*np.diff(stroke, axis=0).T).sum() for stroke in strokes])
    shares = np.maximum(np.floor(n_points * lengths / lengths.sum()), 2).astype(int)
    shares[0] += n_points - shares.sum()
    parts = [_curve_matrix(stroke, share) for stroke, share in zip(strokes, shares, strict=True)]
    controls = np.concatenate([points for _, points in parts])
    matrix = np.zeros((n_points, len(controls)))
    row = column = 0
    for part, _ in parts:
        matrix[row : row + part.shape[0], column : column + part.shape[1]] = part
        row, column = row + part.shape[0], column + part.shape[1]
    return matrix, controls


class PenPaths:
    """All of `PEN_PATHS` as arrays, ready to be drawn many at a time.

    `matrices` (ways, n_points, n_controls) and `controls` (ways, n_controls, 2), filled up with
    zeros, multiply to paths; `cumulative` (10, ways) holds each digit's chances of the ways.
    """

    def __init__(self, n_points: int) -> None:
        """Prepare paths of `n_points` places along the way of the pen."""
        ways = [(digit, *way) for digit, ways in PEN_PATHS.items() for way in ways]
        stacked = [_stack_strokes(strokes, n_points) for _, _, strokes in ways]
        n_controls = max(len(controls) for _, controls in stacked)
        self.matrices = np.zeros((len(ways), n_points, n_controls), np.float32)
        self.controls = np.zeros((len(ways), n_controls, 2), np.float32)
        for way, (matrix, controls) in enumerate(stacked):
            self.matrices[way, :, : len(controls)] = matrix
            self.controls[way, : len(controls)] = controls
        self.cumulative = np.zeros((10, len(ways)))
        for way, (digit, weight, _) in enumerate(ways):
            self.cumulative[digit, way] = weight
        self.cumulative = np.cumsum(self.cumulative, axis=1)
        self.cumulative /= self.cumulative[:, -1:]

    def draw(
        self, labels: np.ndarray, unsteadiness: np.ndarray | float, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw a fresh pen path for each label: (n, n_points, 2), each digit about 1 high.

        Every point that the pen passes is moved by a normal deviate of scale `unsteadiness`: one
        number, or (n, 1, 1).
        """
        way = (rng.random(len(labels))[:, None] > self.cumulative[labels]).sum(axis=1)
        controls = self.controls[way]
        moved = controls + unsteadiness * rng.standard_normal(controls.shape, np.float32)
        return self.matrices[way] @ moved
