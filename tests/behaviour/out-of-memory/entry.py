from workers import Response, WorkerEntrypoint


def fill(blocks):
    while True:
        blocks.append(bytearray(1 << 20))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "caught":
                blocks = []
                try:
                    fill(blocks)
                except MemoryError:
                    count = len(blocks)
                    blocks.clear()
                    return Response(f"MemoryError after {count} MiB")
            case "uncaught":
                fill([])
            case "huge":
                try:
                    bytearray(1 << 30)
                except MemoryError as error:
                    return Response(type(error).__name__)
        return Response("fine")
