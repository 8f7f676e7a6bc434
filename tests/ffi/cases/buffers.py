"""Buffers in both directions, most of them without copies."""

import array
import io
import tempfile

import js as js_module
from pyodide.ffi import JsBuffer, JsException, JsTypedArray, to_js
from suite import js, raises, same

_FORMATS = {"Int8Array": "b", "Uint8Array": "B", "Uint8ClampedArray": "B", "Int16Array": "h", "Uint16Array": "H",
            "Int32Array": "i", "Uint32Array": "I", "Float32Array": "f", "Float64Array": "d"}


def typed_arrays_become_memory_views():
    for kind, code in _FORMATS.items():
        view = js(f"new {kind}([1, 2, 3, 100])").to_py()
        assert view.format == code, kind
        assert view.tolist() == [1, 2, 3, 100]
        assert view.tobytes() == array.array(code, [1, 2, 3, 100]).tobytes()


def big_typed_arrays_become_memory_views():
    for kind, code in {"BigInt64Array": "q", "BigUint64Array": "Q"}.items():
        view = js(f"new {kind}([1n, 2n ** 62n])").to_py()
        assert view.format == code
        assert view.tolist() == [1, 2**62]


def conversion_copies():
    a = js("new Uint8Array([1, 2, 3])")
    view = a.to_py()
    view[0] = 9
    assert a[0] == 1
    assert a.to_bytes() == b"\x01\x02\x03"
    assert a.to_memoryview().tolist() == [1, 2, 3]


def views_of_a_part():
    part = js("new Int16Array([1, 2, 3, 4]).subarray(1, 3)")
    assert part.to_py().tolist() == [2, 3]
    assert part.to_bytes() == array.array("h", [2, 3]).tobytes()
    assert js("new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2)").to_bytes() == b"\x02\x03"


async def array_buffers_of_responses():
    same(bytes((await js("new Response('ab')").arrayBuffer()).to_py()), b"ab")


def array_buffers():
    b = js("new Uint8Array([1, 2, 3]).buffer")
    assert isinstance(b, JsBuffer)
    assert b.to_bytes() == b"\x01\x02\x03"
    assert b.to_py().tobytes() == b"\x01\x02\x03"
    assert len(js("new ArrayBuffer(100)").to_py().tobytes()) == 100
    assert js("new ArrayBuffer(0)").to_bytes() == b""


def assignment_from_python():
    a = js("new Uint32Array(3)")
    a.assign(array.array("I", [7, 8, 9]))
    assert list(a) == [7, 8, 9]
    a.assign(memoryview(array.array("I", [1, 2, 3])))
    assert list(a) == [1, 2, 3]
    b = js("new Uint8Array(2)")
    b.assign(b"\xff\x01")
    assert list(b) == [255, 1]


def assignment_to_python():
    a = js("new Uint8Array([5, 6, 7])")
    target = bytearray(3)
    a.assign_to(target)
    assert target == b"\x05\x06\x07"
    numbers = array.array("d", [0, 0])
    js("new Float64Array([1.5, -2])").assign_to(numbers)
    assert list(numbers) == [1.5, -2]


def assignment_to_what_is_read_only():
    with raises(BufferError, "not writable"):
        js("new Uint8Array([5])").assign_to(b"x")


def assignment_of_other_lengths_and_types():
    a = js("new Uint8Array(3)")
    for other in [b"12", b"1234"]:
        with raises(ValueError, "length|size|bytes"):
            a.assign(other)
        with raises(ValueError, "length|size|bytes"):
            a.assign_to(bytearray(other))
    with raises(ValueError, "length"):
        js("new Uint32Array(3)").assign(array.array("d", [1, 2, 3]))
    with raises(TypeError):
        a.assign("abc")


def assignment_to_an_array_buffer():
    b = js("new ArrayBuffer(8)")
    b.assign(array.array("d", [1.5]))
    assert js("(b) => new Float64Array(b)[0]")(b) == 1.5


def text_of_buffers():
    assert js("new TextEncoder().encode('abcဴ')").to_string() == "abcဴ"
    assert js("new Uint8Array([0xe4])").to_string("latin1") == "ä"
    with raises(ValueError):
        js("new Uint8Array([0xff, 0xfe, 0xfd])").to_string()


def methods_of_buffers():
    methods = {"assign", "assign_to", "to_string", "to_memoryview", "to_bytes", "to_file", "from_file"}
    assert methods <= set(dir(js("new Uint8Array(1)")))
    assert not methods & set(dir(js("({})")))
    assert isinstance(js("new Uint8Array(1)"), JsTypedArray)


def files():
    a = js_module.Uint8Array.new(range(10))
    with tempfile.TemporaryFile() as f:
        a.to_file(f)
        f.seek(0)
        assert f.read() == bytes(range(10))
        f.seek(2)
        b = js("new Uint8Array(3)")
        b.from_file(f)
        assert list(b) == [2, 3, 4]


def files_that_are_none():
    with raises((io.UnsupportedOperation, OSError, AttributeError)[0], ""):
        js("new Uint8Array(3)").to_file(io.BytesIO())


def bytes_become_typed_arrays():
    a = to_js(b"\x01\xff")
    same(a.constructor.name, "Uint8Array")
    assert a.to_bytes() == b"\x01\xff"
    assert to_js(b"").length == 0
    same(to_js(bytearray(b"ab")).constructor.name, "Uint8Array")


def to_js_copies():
    source = bytearray(b"abc")
    a = to_js(source)
    source[0] = 0
    assert a[0] == ord("a")


def arrays_become_typed_arrays():
    for code, kind in {"b": "Int8Array", "B": "Uint8Array", "h": "Int16Array", "H": "Uint16Array", "i": "Int32Array",
                       "I": "Uint32Array", "f": "Float32Array", "d": "Float64Array", "q": "BigInt64Array",
                       "Q": "BigUint64Array"}.items():
        a = to_js(array.array(code, [1, 2, 3]))
        same(a.constructor.name, kind)
        assert list(a) == [1, 2, 3]


def memory_views_with_strides():
    view = memoryview(bytes(range(10)))
    assert list(to_js(view[::2])) == [0, 2, 4, 6, 8]
    assert list(to_js(view[::-1])) == list(range(9, -1, -1))
    assert list(to_js(view[3:6])) == [3, 4, 5]


def memory_views_with_dimensions():
    view = memoryview(bytes(range(6))).cast("B", [2, 3])
    rows = to_js(view)
    assert [list(row) for row in rows] == [[0, 1, 2], [3, 4, 5]]


def get_buffer_does_not_copy():
    data = bytearray(b"abc")
    js("(b) => { const v = b.getBuffer(); v.data[0] = 90; v.release() }")(data)
    assert data == b"Zbc"


def get_buffer_describes():
    describe = js("""(b) => {
      const v = b.getBuffer();
      const all = [v.data.constructor.name, v.format, v.itemsize, v.ndim, v.nbytes, v.readonly, [...v.shape], [...v.strides],
                   v.offset, v.c_contiguous, v.f_contiguous];
      v.release();
      return all;
    }""")
    same(describe(b"abcd").to_py(), ["Uint8Array", "B", 1, 1, 4, True, [4], [1], 0, True, True])
    grid = memoryview(array.array("i", range(6))).cast("B").cast("i", [2, 3])
    same(describe(grid).to_py(), ["Int32Array", "i", 4, 2, 24, False, [2, 3], [3, 1], 0, True, False])


def get_buffer_of_every_type():
    kinds = {"i8": "Int8Array", "u8": "Uint8Array", "u8clamped": "Uint8ClampedArray", "i16": "Int16Array", "u16": "Uint16Array",
             "i32": "Int32Array", "u32": "Uint32Array", "i64": "BigInt64Array", "u64": "BigUint64Array", "f32": "Float32Array",
             "f64": "Float64Array", "dataview": "DataView"}
    for asked, kind in kinds.items():
        same(js("(b, t) => { const v = b.getBuffer(t); const n = v.data.constructor.name; v.release(); return n }")(bytes(16), asked), kind)


def get_buffer_of_an_empty_array():
    js("(a) => { const v = a.getBuffer(); v.release() }")(array.array("Q"))


def get_buffer_of_an_unknown_type():
    assert "Unknown type" in js("(b) => { try { b.getBuffer('x') } catch (e) { return e.message } }")(b"a")


def get_buffer_keeps_the_object_locked():
    data = bytearray(b"abc")
    view = js("(b) => b.getBuffer()")(data)
    with raises(BufferError):
        data.append(1)
    view.release()
    data.append(1)
    view.release()


def released_buffers():
    view = js("(b) => { const v = b.getBuffer(); v.release(); return v }")(b"abc")
    with raises(Exception, "null|undefined|TypeError|released|AttributeError"):
        view.data[0]


def memory_that_grows_keeps_views():
    # Growing replaces the memory's buffer in other engines, which detaches views of it.
    data = bytearray(b"abc")
    view = js("(b) => b.getBuffer('u8')")(data)
    more = [bytearray(1 << 20) for _ in range(30)]
    del more
    assert js("(v) => v.byteLength")(view.data) in (0, 3)
    view.release()


def detached_buffers():
    b = js("const db = new ArrayBuffer(8); const da = new Uint8Array(db); structuredClone(db, {transfer: [db]}); da")
    assert len(b) == 0
    with raises((ValueError, JsException)):
        b.assign(b"12345678")


def resizable_buffers():
    a, b = js("const rb = new ArrayBuffer(4, {maxByteLength: 8}); [new Uint8Array(rb), rb]")
    assert len(a) == 4
    b.resize(8)
    assert len(a) == 8
    b.resize(2)
    assert len(a) == 2
    assert len(js("new Uint8Array(2)").to_bytes()) == 2


def large_buffers():
    data = bytes(range(256)) * 20000
    a = to_js(data)
    assert a.length == len(data)
    assert a.to_bytes() == data
    target = bytearray(len(data))
    a.assign_to(target)
    assert target == data


def formats_without_a_counterpart():
    with raises(Exception, ""):
        js("(b) => b.getBuffer()")(array.array("u", "abc"))


def shared_memory_of_two_views():
    a, b = js("const sb = new ArrayBuffer(4); [new Uint8Array(sb), new Uint16Array(sb)]")
    a[0], a[1] = 1, 1
    assert b[0] == 257


def uint8_arrays_from_python():
    assert js_module.Uint8Array.new([1, 2, 300]).to_bytes() == b"\x01\x02\x2c"
    assert js_module.Float64Array.new(3).length == 3
    assert js_module.Float64Array.BYTES_PER_ELEMENT == 8
    assert js_module.Uint8Array.new(to_js(b"ab")).to_bytes() == b"ab"
