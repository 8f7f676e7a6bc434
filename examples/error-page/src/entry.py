import json

from workers import Response, WorkerEntrypoint


def total(orders):
    """Adds up what a customer owes."""
    return sum(order["price"] * order["count"] for order in orders)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        orders = json.loads('[{"price": 3, "count": 2}, {"count": 1}]')
        try:
            amount = total(orders)
        except KeyError as error:
            raise ValueError(f"an order is incomplete: {error}") from error
        return Response.json({"total": amount})
