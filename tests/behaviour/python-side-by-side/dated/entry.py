import sys

from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    def version(self):
        return f"{sys.version_info[0]}.{sys.version_info[1]}"
