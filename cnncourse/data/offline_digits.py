"""wip"""

from concurrent.futures import ThreadPoolExecutor
import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits
from cnncourse.data.pen_paths import PenPaths

P = dict(
    drawn=.75,
    unsteady=0.03,
    taper=0.4,
    heavy=0.05,
    steps=12,
    blur=0.6,
    legible=1.5,tremor=0.0,ragged=0.0,pen=(1.12,1.1,1,1,.97,.97,1,1.03,.92,.92),
    slant=(0.24, 0.24, 0.15, 0.12, 0.15, 0.20, 0.12, -0.05, 0.16, 0.12),
    slant_sd=0.22,
    wide=(1.12, 1, 1.22, 1.1, 1.1, 1.2, 1.05, 1.1, 1.05, 1),
    rot=0.08,
    aspect=0.15,
    elastic=0.04,
    width=(0.20, 0.27),
    edge=1.15,
    pressure=0.12,
    rough=0.7,
)
N_POINTS = 128
CHUNK = 128
BOX, SIDE = 20, 28
TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)


def _sharpen(counts, steps=12, gain=8.0):
    cov = np.pad(counts.astype(np.float32) / 16, ((0, 0), (1, 1), (1, 1)))
    f = ndimage.zoom(cov, (1, 4, 4), order=3, grid_mode=True, mode="grid-constant").astype(
        np.float32
    )
    for _ in range(P["steps"]):
        ink = 1 / (1 + np.exp(-gain * (f - 0.5)))
        err = cov - ink.reshape(len(f), 10, 4, 10, 4).mean((2, 4))
        f += err.repeat(4, 1).repeat(4, 2)
        f = ndimage.gaussian_filter(f, (0, P["blur"], P["blur"]))
    return f > 0.5


def _thin(b):
    b = b.copy()
    while True:
        changed = False
        for first in (True, False):
            p = np.pad(b, ((0, 0), (1, 1), (1, 1)))
            n = [
                p[:, 1 + dy : 1 + dy + b.shape[1], 1 + dx : 1 + dx + b.shape[2]]
                for dy, dx in ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
            ]
            count = sum(a.astype(np.int8) for a in n)
            trans = sum((~a & c).astype(np.int8) for a, c in zip(n, n[1:] + n[:1]))
            if first:
                keep = (n[0] & n[2] & n[4]) | (n[2] & n[4] & n[6])
            else:
                keep = (n[0] & n[2] & n[6]) | (n[0] & n[4] & n[6])
            rm = b & (count >= 2) & (count <= 6) & (trans == 1) & ~keep
            if rm.any():
                changed = True
                b &= ~rm
        if not changed:
            return b


def _trace(bitmaps, target):
    """points (n,N_POINTS,2), radius (n,N_POINTS) in units of height"""
    thin = _thin(bitmaps)
    holes = np.array([1, 0, 0, 0, 0, 0, 1, 0, 2, 1])[target]
    good = np.zeros(len(bitmaps), bool)
    pts = np.empty((len(bitmaps), N_POINTS, 2), np.float32)
    rad = np.empty((len(bitmaps), N_POINTS), np.float32)
    for i, (bm, sk) in enumerate(zip(bitmaps, thin)):
        away = ndimage.distance_transform_edt(~sk)[bm]
        rr = ndimage.distance_transform_edt(bm)[sk]
        good[i] = (
            np.quantile(away, 0.98) < P["legible"] * np.median(rr)
            and ndimage.label(~np.pad(sk, 1))[1] - 1 >= holes[i]
        )
        yx = np.argwhere(sk).astype(np.float32)
        r = ndimage.distance_transform_edt(bm)[sk].astype(np.float32)
        d = np.abs(yx[:, None] - yx[None]).max(-1)
        near = d <= 1
        link = near.astype(np.float32)
        w = link / link.sum(1, keepdims=True)
        ends = link.sum(1) <= 2
        sm = yx
        for _ in range(2):
            sm = np.where(ends[:, None], sm, w @ sm)
            r = np.where(ends, r, w @ r)
        a, b = np.nonzero(np.triu(near, 1))
        allp = np.concatenate([sm, (sm[a] + sm[b]) / 2])
        allr = np.concatenate([r, (r[a] + r[b]) / 2])
        if len(allp) > N_POINTS:
            pick = np.linspace(0, len(allp) - 1, N_POINTS).round().astype(int)
        else:
            pick = np.arange(N_POINTS) % len(allp)
        pts[i] = allp[pick][:, ::-1]
        rad[i] = allr[pick]
    return pts / 32, rad / 32, good


def sources(seed, n_test=300):
    D = load_digits()
    order = np.random.default_rng([seed, 1]).permutation(len(D.target))
    return order[n_test:], order[:n_test]


def _labels(n, counts, rng):
    c = np.array(counts) / sum(counts) * n
    k = np.floor(c).astype(int)
    k[np.argsort(k - c, kind="stable")[: n - k.sum()]] += 1
    return rng.permutation(np.repeat(np.arange(10), k)).astype(np.uint8)


def _warp(points, l, rng):
    n = len(points)
    lo, hi = points.min(1, keepdims=True), points.max(1, keepdims=True)
    p = points - (lo + hi) / 2
    N = lambda s: rng.standard_normal((n, 1), np.float32) * np.float32(s)
    # elastic: two low-frequency waves per axis
    x, y = p[..., 0], p[..., 1]

    def wave():
        w = 0
        for _ in range(3):
            fx, fy = rng.uniform(-1.2, 1.2, (2, n, 1)).astype(np.float32)
            ph = rng.uniform(0, 2 * np.pi, (n, 1)).astype(np.float32)
            w = w + N(P["elastic"]) * np.sin(2 * np.pi * (fx * x + fy * y) + ph)
        return w

    x, y = x + wave(), y + wave()
    x = x * np.exp(N(P["taper"]) * y)
    y = y + N(P["heavy"]) * (4 * y * y - 1)
    x = x * np.exp(N(P["aspect"])) * np.array(P["wide"], np.float32)[l][:, None]
    x = x - (np.array(P["slant"], np.float32)[l][:, None] + N(P["slant_sd"])) * y
    a = N(P["rot"])
    c, s = np.cos(a), np.sin(a)
    return c * x - s * y, s * x + c * y


def _render(x, y, radius):
    """x,y (n,K) any unit; radius (n,K) pixels -> (n,28,28) uint8"""
    n = len(x)
    big = radius.max(1, keepdims=True)
    ext = np.maximum((x.max(1) - x.min(1)), (y.max(1) - y.min(1)))[:, None]
    scale = (BOX - 2 * radius.mean(1, keepdims=True)) / np.maximum(ext, 1e-3)
    x = x * scale
    y = y * scale
    x = x - (x.max(1) + x.min(1))[:, None] / 2 + (BOX - 1) / 2
    y = y - (y.max(1) + y.min(1))[:, None] / 2 + (BOX - 1) / 2
    grid = np.arange(BOX, dtype=np.float32)[:, None]
    inv = (1 / radius**2).T
    dx = (grid - x.T[:, None]) ** 2 * inv[:, None]
    dy = (grid - y.T[:, None]) ** 2 * inv[:, None]
    near = np.full((BOX, BOX, n), np.inf, np.float32)
    d = np.empty_like(near)
    for a, b in zip(dx, dy):
        np.add(a[None], b[:, None], out=d)
        np.minimum(near, d, out=near)
    # distance inside stroke in px: r*(1-sqrt(m))
    ink = np.clip((1 - np.sqrt(near)) * radius.mean(1) / P["edge"] + 0.5, 0, 1)
    ink = ink.transpose(2, 0, 1)
    g = np.arange(BOX, dtype=np.float32)
    m = ink.sum((1, 2))
    cx = (ink.sum(1) * g).sum(1) / m
    cy = (ink.sum(2) * g).sum(1) / m
    ox = np.rint(14 - cx).astype(int)
    oy = np.rint(14 - cy).astype(int)
    ox = np.clip(ox, 0, 8)
    oy = np.clip(oy, 0, 8)
    out = np.zeros((n, 28, 28), np.uint8)
    rows = oy[:, None, None] + np.arange(20)[None, :, None]
    cols = ox[:, None, None] + np.arange(20)[None, None, :]
    out[np.arange(n)[:, None, None], rows, cols] = np.rint(ink * 255)
    return out


def make_digits(n_train=60000, n_test=10000, seed=0):
    D = load_digits()
    pts, rad, good = _trace(_sharpen(D.images), D.target)
    print("good", [int(good[D.target == k].sum()) for k in range(10)])
    pen = PenPaths(N_POINTS)
    res = {}
    for part, (n, counts, src) in enumerate(
        zip((n_train, n_test), (TRAIN_COUNTS, TEST_COUNTS), sources(seed))
    ):
        labels = _labels(n, counts, np.random.default_rng([seed, 2, part]))
        by = [src[(D.target[src] == k) & good[src]] for k in range(10)]

        def chunk(start):
            rng = np.random.default_rng([seed, 3, part, start])
            l = labels[start : start + CHUNK]
            m = len(l)
            drawn = rng.random(m) < P["drawn"]
            u = rng.random(m)
            s = np.array([by[k][int(a * len(by[k]))] for k, a in zip(l, u)])
            p = pts[s].copy()
            r = rad[s].copy()
            r = (r / np.median(r, 1, keepdims=True)).clip(0.5, 2.5) ** P["rough"]
            if drawn.any():
                p[drawn] = pen.draw(
                    l[drawn],
                    P["unsteady"] * 2 * rng.random((int(drawn.sum()), 1, 1), np.float32),
                    rng,
                )
                t = np.linspace(0, 1, N_POINTS, dtype=np.float32)
                ph = rng.random((m, 1))
                fr = rng.uniform(0.5, 2, (m, 1))
                r[drawn] = (1 + P["pressure"] * np.sin(2 * np.pi * (fr * t + ph)))[drawn]
            x, y = _warp(p, l, rng)
            w = np.exp(P["width"][0] + P["width"][1] * rng.standard_normal((m, 1)))
            return _render(x.astype(np.float32), y.astype(np.float32), (r * w).astype(np.float32))

        with ThreadPoolExecutor(2) as ex:
            im = np.concatenate(list(ex.map(chunk, range(0, n, CHUNK))))
        nm = ("train", "test")[part]
        res["x_" + nm] = im[..., None]
        res["y_" + nm] = labels
    return res
