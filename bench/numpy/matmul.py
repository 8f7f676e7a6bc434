"""The product of two matrices, the same in a Worker and in python3: prints the seconds that the faster of two took."""

import time

import numpy as np

SIZE = 1000


def best() -> float:
    a = np.arange(SIZE * SIZE, dtype=np.float64).reshape(SIZE, SIZE) / SIZE
    b = a.T.copy()
    took = []
    for _ in range(2):
        begun = time.perf_counter()
        product = a @ b
        took.append(time.perf_counter() - begun)
    assert product[1, 0] == product[0, 1]
    return min(took)


if __name__ == "__main__":
    print(best())
