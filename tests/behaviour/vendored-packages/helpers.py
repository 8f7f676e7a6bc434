import greeting


def greet(name):
    return greeting.greet(name)
