import json

OPT_SERIALIZE_DATACLASS = OPT_SERIALIZE_NUMPY = OPT_SERIALIZE_UUID = OPT_NON_STR_KEYS = OPT_INDENT_2 = OPT_SORT_KEYS = 0
JSONDecodeError = json.JSONDecodeError
JSONEncodeError = TypeError


class Fragment:
    def __init__(self, contents):
        self.contents = contents


def dumps(value, /, default=None, option=None):
    return json.dumps(value, default=default, separators=(",", ":"), ensure_ascii=False).encode()


def loads(text, /):
    return json.loads(text)
