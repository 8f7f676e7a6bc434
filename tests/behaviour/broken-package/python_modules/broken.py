raise RuntimeError("this package cannot be imported")
