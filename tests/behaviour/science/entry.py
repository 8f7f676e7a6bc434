"""numpy and what is built on it, each doing what it is used for. What is built on it is imported by its own request."""

import io

import numpy as np
from workers import Response, WorkerEntrypoint


# An isolate goes on with numbers of its own.
np.random.seed(1)
FIRST_OF_SEED = 0.417022004702574


def near(a, b):
    assert np.allclose(a, b), (a, b)


def numpy():
    assert np.random.random() != FIRST_OF_SEED
    assert np.random.RandomState(1).random() == FIRST_OF_SEED
    a = np.arange(12, dtype=np.float64).reshape(3, 4)
    assert (a @ a.T)[2].tolist() == [62.0, 214.0, 366.0]
    m = np.array([[2.0, 1.0], [1.0, 3.0]])
    near(np.linalg.solve(m, [3.0, 5.0]), [0.8, 1.4])
    near(np.linalg.eigvalsh(m) ** 2 - 5 * np.linalg.eigvalsh(m) + 5, [0, 0])
    near(np.fft.ifft(np.fft.fft(a[0])).real, a[0])
    assert np.sort(np.array(["b", "ä", "a"])).tolist() == ["a", "b", "ä"]
    generator = np.random.default_rng(7)
    assert 0.4 < generator.random(10_000).mean() < 0.6
    out = io.BytesIO()
    np.save(out, a)
    out.seek(0)
    assert (np.load(out) == a).all()


def pandas():
    import pandas as pd

    table = pd.read_csv(io.StringIO("day,city,rain\n2024-01-01,Bern,1.5\n2024-01-02,Bern,\n2024-01-01,Basel,4\n"), parse_dates=["day"])
    assert table.groupby("city").rain.sum().to_dict() == {"Basel": 4.0, "Bern": 1.5}
    assert table.day.dt.day_name().tolist() == ["Monday", "Tuesday", "Monday"]
    wide = table.pivot(index="day", columns="city", values="rain")
    assert wide.loc["2024-01-01", "Basel"] == 4 and wide.isna().to_numpy().sum() == 2
    merged = table.merge(pd.DataFrame({"city": ["Bern"], "canton": ["BE"]}), how="left")
    assert merged.canton.tolist() == ["BE", "BE", merged.canton[2]]
    assert pd.Timestamp("2024-07-01 12:00", tz="Europe/Zurich").tz_convert("UTC").hour == 10


def pillow():
    from PIL import Image, ImageDraw, ImageFilter

    image = Image.new("RGB", (40, 30), "white")
    ImageDraw.Draw(image).rectangle([10, 10, 29, 19], fill="red")
    for kind, exact in (("PNG", True), ("JPEG", False), ("WEBP", False), ("GIF", True)):
        out = io.BytesIO()
        image.save(out, kind)
        read = Image.open(io.BytesIO(out.getvalue())).convert("RGB")
        red, green, blue = read.getpixel((20, 15))
        assert (red, green, blue) == (255, 0, 0) if exact else red > 200 > 60 > green, (kind, red, green, blue)
    assert image.resize((20, 15)).filter(ImageFilter.GaussianBlur(2)).size == (20, 15)
    try:
        Image.open(io.BytesIO(b"no image"))
        raise AssertionError("not raised")
    except OSError:
        pass


def scipy():
    from scipy import integrate, linalg, optimize, signal, sparse, spatial, special, stats
    from scipy.sparse.linalg import spsolve

    near(integrate.quad(np.sin, 0, np.pi)[0], 2)
    found = integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], rtol=1e-8)
    near(found.y[0, -1], np.exp(-1))
    best = optimize.minimize(lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 2, [0, 0], method="L-BFGS-B")
    assert np.allclose(best.x, [1, -2], atol=1e-4), best
    assert optimize.linprog([-1, -2], A_ub=[[1, 1]], b_ub=[4]).fun == -8
    m = np.array([[4.0, 1.0], [1.0, 3.0]])
    near(linalg.cholesky(m) .T @ linalg.cholesky(m), m)
    near(spsolve(sparse.csc_matrix(m), [5.0, 4.0]), [1, 1])
    near(special.gamma(5.5), 52.34277778455352)
    assert stats.ttest_ind([1, 2, 3, 4], [11, 12, 13, 14]).pvalue < 1e-3
    assert spatial.KDTree([[0, 0], [3, 4]]).query([3, 3])[1] == 1
    assert signal.find_peaks([0, 2, 0, 3, 0])[0].tolist() == [1, 3]


def sklearn():
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_iris, make_blobs
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train_x, train_y)
    assert model.score(test_x, test_y) > 0.9
    assert RandomForestClassifier(10, random_state=0).fit(train_x, train_y).score(test_x, test_y) > 0.9
    near(LinearRegression().fit([[0], [1], [2]], [1, 3, 5]).coef_, [2])
    points, _ = make_blobs(60, centers=3, cluster_std=0.1, random_state=1)
    assert len(np.unique(KMeans(3, n_init=2, random_state=0).fit_predict(points))) == 3


def matplotlib():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    axes[0].plot([1, 4, 9])
    axes[0].set_title("a title with ä")
    axes[1].imshow([[0, 1], [1, 0]])
    images = {}
    for kind in ("png", "svg", "pdf"):
        out = io.BytesIO()
        figure.savefig(out, format=kind)
        images[kind] = out.getvalue()
    plt.close(figure)
    assert images["png"].startswith(b"\x89PNG") and len(images["png"]) > 5_000
    assert b"</svg>" in images["svg"] and images["pdf"].startswith(b"%PDF")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        globals()[request.url.rsplit("/", 1)[1]]()
        return Response("fine")
