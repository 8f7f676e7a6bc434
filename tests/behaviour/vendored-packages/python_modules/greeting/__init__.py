import random

from .words import HELLO

drawn = random.random()


def greet(name):
    return f"{HELLO}, {name}"
