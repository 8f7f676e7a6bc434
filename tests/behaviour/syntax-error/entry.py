from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    # The next line lacks a comma.
    def fetch(self request):
        return Response("corrected")
