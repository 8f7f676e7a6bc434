"""Plots a curve: GET /?periods=3 is a PNG image."""

import io
from urllib.parse import parse_qs, urlsplit

import matplotlib.pyplot as plt
import numpy as np
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        query = parse_qs(urlsplit(request.url).query)
        periods = float(query.get("periods", ["2"])[0])
        x = np.linspace(0, periods * 2 * np.pi, 400)
        figure, axes = plt.subplots(figsize=(6, 3))
        try:
            axes.plot(x, np.sin(x), label="sin")
            axes.fill_between(x, np.sin(x), alpha=0.2)
            axes.set_title(f"{periods:g} periods")
            axes.legend()
            image = io.BytesIO()
            figure.savefig(image, format="png")
        finally:
            plt.close(figure)
        return Response(image.getvalue(), headers={"content-type": "image/png"})
