"""A Django project as a Worker, by ASGI."""

from project import get_asgi_application
from workers import asgi

Default = asgi.entrypoint(get_asgi_application())
