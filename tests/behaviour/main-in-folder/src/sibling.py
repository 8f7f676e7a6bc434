TEXT = "from src/sibling.py"
