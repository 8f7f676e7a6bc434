NAME = "helper one"
