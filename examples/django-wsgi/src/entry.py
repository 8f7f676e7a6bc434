"""A Django project as a Worker, by WSGI."""

from project import get_wsgi_application
from workers import wsgi

Default = wsgi.entrypoint(get_wsgi_application())
