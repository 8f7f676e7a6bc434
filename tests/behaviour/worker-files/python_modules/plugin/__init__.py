from pathlib import Path


def greet():
    return (Path(__file__).parent / "greeting.json").read_text().strip()
