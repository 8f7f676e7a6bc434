import hashlib
import io
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import js
from cases import named, raises
from workers import BindingError, Headers, R2Bucket, R2Object, R2ObjectBody, Response, WorkerEntrypoint, import_from_javascript


async def objects(bucket):
    assert isinstance(bucket, R2Bucket)
    assert await bucket.get("missing") is None and await bucket.head("missing") is None
    data = bytes(range(256))

    async def chunks():
        yield data[:100]
        yield data[100:]

    for value in (data, bytearray(data), io.BytesIO(data), chunks(), js.Uint8Array.new(list(data))):
        put = await bucket.put("bytes", value)
        assert (put.key, put.size, put.etag) == ("bytes", 256, hashlib.md5(data).hexdigest()), put
        found = await bucket.get("bytes")
        assert type(found) is R2ObjectBody and await found.bytes() == data and found.bodyUsed
        await raises(OSError, "Body already used", found.text())
    await bucket.put("text", "héllo")
    assert await (await bucket.get("text")).text() == "héllo"
    await bucket.put("json", '{"a": [1]}')
    assert (await (await bucket.get("json")).json()).a == [1]
    await bucket.put("empty", None)
    found = await bucket.get("empty")
    assert found.size == 0 and await found.bytes() == b""
    head = await bucket.head("text")
    assert type(head) is R2Object and head.size == 6 and head.httpEtag == f'"{head.etag}"' and head.storageClass == "Standard"
    assert abs(datetime.now(UTC) - head.uploaded) < timedelta(minutes=5)
    assert head.checksums.md5 == hashlib.md5("héllo".encode()).digest()
    for _ in range(300):
        # Nobody reads them, so they must not be held for ever.
        await bucket.get("bytes")
    await bucket.put("copy", await bucket.get("text"))
    assert await (await bucket.get("copy")).text() == "héllo"
    await bucket.delete("copy")
    await bucket.delete(["json", "missing"])
    assert await bucket.head("copy") is None and await bucket.head("json") is None


async def metadata(bucket):
    expiry = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    http = {"contentType": "text/x", "cacheControl": "no-store", "cacheExpiry": expiry}
    await bucket.put("m", "1", {"httpMetadata": http, "customMetadata": {"a": "é"}})
    found = await bucket.head("m")
    assert found.httpMetadata == http and found.customMetadata == {"a": "é"} and found.custom_metadata.a == "é"
    headers = Headers()
    found.writeHttpMetadata(headers)
    assert headers["content-type"] == "text/x" and headers["expires"] == "Wed, 02 Jan 2030 03:04:05 GMT"
    await bucket.put("m", "1", http_metadata=Headers({"content-type": "text/y"}), custom_metadata={"n": 1})
    found = await bucket.head("m")
    assert found.httpMetadata == {"contentType": "text/y"} and found.customMetadata == {"n": "1"}
    await raises(TypeError, "httpMetadata has no member 'type'", bucket.put("m", "1", http_metadata={"type": "x"}))
    await raises(TypeError, "put() has no option 'ttl'", bucket.put("m", "1", {"ttl": 1}))
    await raises(TypeError, "createMultipartUpload() has no option 'ttl'", bucket.createMultipartUpload("m", {"ttl": 1}))
    # Python's names mean the same, and misspelt ones nothing.
    await bucket.put("m", "1", http_metadata={"content_type": "text/p", "cache_control": "no-cache"})
    assert (await bucket.head("m")).httpMetadata == {"contentType": "text/p", "cacheControl": "no-cache"}
    assert await bucket.put("m", "2", only_if={"etag_matches": "other"}) is None
    assert type(await bucket.get("m", only_if={"etag_matches": "other"})) is R2Object
    await raises(TypeError, "onlyIf has no condition 'etag'; there are: etag_matches", bucket.put("m", "2", only_if={"etag": "x"}))
    await raises(TypeError, "range has no member 'start'; there are: offset, length, suffix", bucket.get("m", range={"start": 1}))


async def conditions(bucket):
    first = await bucket.put("c", "first")
    assert await bucket.put("c", "no", only_if={"etagMatches": "other"}) is None
    assert await bucket.put("c", "no", {"onlyIf": {"etagDoesNotMatch": first.etag}}) is None
    assert await bucket.put("c", "no", only_if=Headers({"if-none-match": "*"})) is None
    assert await bucket.put("new", "yes", only_if=Headers({"if-none-match": "*"})) is not None
    second = await bucket.put("c", "second", only_if={"etagMatches": first.etag})
    unmet = await bucket.get("c", only_if={"etagDoesNotMatch": second.etag})
    assert type(unmet) is R2Object and unmet.etag == second.etag
    assert type(await bucket.get("c", only_if=Headers({"if-none-match": second.httpEtag}))) is R2Object
    met = await bucket.get("c", {"onlyIf": {"etagMatches": second.etag}})
    assert await met.text() == "second"
    hour = timedelta(hours=1)
    assert type(await bucket.get("c", only_if={"uploadedBefore": second.uploaded - hour})) is R2Object
    assert type(await bucket.get("c", only_if={"uploadedAfter": second.uploaded - hour})) is R2ObjectBody
    await bucket.delete("new")


async def ranges(bucket):
    await bucket.put("r", "0123456789")

    async def part(**span):
        found = await bucket.get("r", range=span)
        return await found.text(), dict(found.range), found.size

    assert await part(offset=2, length=3) == ("234", {"offset": 2, "length": 3}, 10)
    assert await part(offset=8) == ("89", {"offset": 8, "length": 2}, 10)
    assert await part(length=4) == ("0123", {"offset": 0, "length": 4}, 10)
    assert await part(suffix=3) == ("789", {"offset": 7, "length": 3}, 10)
    assert await part(offset=5, length=100) == ("56789", {"offset": 5, "length": 5}, 10)
    found = await bucket.get("r", range=Headers({"range": "bytes=1-2"}))
    assert await found.text() == "12"
    await raises(BindingError, "the range is not within the object's 10 bytes", bucket.get("r", range={"offset": 10}))
    await raises(BindingError, "is a whole number", bucket.get("r", range={"offset": -1}))


async def checksums(bucket):
    for name in ("md5", "sha1", "sha256", "sha384", "sha512"):
        right = hashlib.new(name, b"data")
        put = await bucket.put("sum", "data", **{name: right.hexdigest()})
        assert put.checksums[name] == right.digest()
        error = await raises(BindingError, f"the {name} checksum", bucket.put("sum", "other", **{name: right.digest()}))
        assert (error.binding, error.key) == ("BUCKET", "sum")
    assert await (await bucket.get("sum")).text() == "data"


async def lists(bucket):
    for key in ("l/a", "l/b/1", "l/b/2", "l/c", "l/d/1", "l/é"):
        await bucket.put(key, key)
    found = await bucket.list(prefix="l/")
    assert [o.key for o in found.objects] == ["l/a", "l/b/1", "l/b/2", "l/c", "l/d/1", "l/é"] and not found.truncated
    found = await bucket.list({"prefix": "l/", "delimiter": "/"})
    assert [o.key for o in found.objects] == ["l/a", "l/c", "l/é"] and found.delimitedPrefixes == ["l/b/", "l/d/"]
    keys, prefixes, cursor = [], [], None
    while True:
        page = await bucket.list(prefix="l/", delimiter="/", limit=2, cursor=cursor)
        assert len(page.objects) + len(page.delimitedPrefixes) <= 2
        keys += [o.key for o in page.objects]
        prefixes += page.delimitedPrefixes
        if not page.truncated:
            break
        cursor = page.cursor
    assert keys == ["l/a", "l/c", "l/é"] and prefixes == ["l/b/", "l/d/"]
    found = await bucket.list(prefix="l/", start_after="l/b/2")
    assert [o.key for o in found.objects] == ["l/c", "l/d/1", "l/é"]
    await raises(BindingError, "the limit of a list is from 1 to 1000", bucket.list(limit=1001))
    await raises(TypeError, "The limit of a list is an int, not str", bucket.list(limit="1"))
    await raises(TypeError, "The prefix of a list is a str, not int", bucket.list(prefix=1))


async def multipart(bucket):
    upload = await bucket.createMultipartUpload("whole", {"httpMetadata": {"contentType": "text/z"}})
    large = b"hello " * 900_000
    second = await upload.uploadPart(2, "world")
    await upload.uploadPart(1, "replaced")
    first = await bucket.resumeMultipartUpload("whole", upload.uploadId).upload_part(1, large)
    assert await bucket.head("whole") is None
    await raises(BindingError, "the upload has no part 3", upload.complete([first, second, {"partNumber": 3, "etag": "x"}]))
    await raises(BindingError, "in the order of their numbers", upload.complete([second, first]))
    await raises(TypeError, "complete() takes a list of what uploadPart() gave", upload.complete([{"part": 1}]))
    third = await upload.uploadPart(3, "!")
    await raises(BindingError, "part 2 is too small: 5 < 5242880 bytes", upload.complete([first, second, third]))
    done = await upload.complete([first, second])
    etags = b"".join(hashlib.md5(part).digest() for part in (large, b"world"))
    assert done.etag == hashlib.md5(etags).hexdigest() + "-2" and done.size == len(large) + 5
    found = await bucket.get("whole", range={"offset": len(large) - 2, "length": 4})
    assert await found.text() == "o wo" and found.httpMetadata.contentType == "text/z"
    await raises(BindingError, "there is no such upload", upload.uploadPart(1, "late"))
    given_up = await bucket.create_multipart_upload("never")
    await given_up.uploadPart(1, "x")
    await given_up.abort()
    await raises(BindingError, "there is no such upload", given_up.complete([first]))
    await raises(BindingError, "from 1 to 10000, not 0", given_up.uploadPart(0, "x"))


async def limits(bucket):
    await bucket.put("k" * 1024, "")
    await bucket.delete("k" * 1024)
    await raises(BindingError, "the key is too long: 1025 > 1024 bytes", bucket.put("k" * 1025, ""))
    await raises(BindingError, "the metadata is too long", bucket.put("k", "", custom_metadata={"a": "x" * 9000}))
    await raises(BindingError, "too many keys at once: 1001 > 1000", bucket.delete(["k"] * 1001))
    await raises(TypeError, "A key is a str, not int", bucket.get(1))
    await raises(TypeError, "not float", bucket.put("k", 1.5))
    assert await bucket.head("k") is None

    async def breaks():
        yield b"some"
        raise ZeroDivisionError("it broke")

    await raises(ZeroDivisionError, "it broke", bucket.put("k", breaks()))
    assert await bucket.head("k") is None


async def sync(bucket):
    assert bucket.sync.put("s", "1").size == 1
    assert bucket.sync.get("s").sync.text() == "1" and bucket.sync.head("s").key == "s"
    assert [o.key for o in bucket.sync.list(prefix="s").objects] == ["s", "sum"]
    bucket.sync.delete("s")
    assert bucket.sync.get("s") is None


async def from_javascript(bucket):
    there = import_from_javascript("cloudflare:workers").env.BUCKET
    for _ in range(300):
        await there.get("bytes")
    await there.put("js", js.Response.new("streamed").body)
    found = await there.get("js")
    assert found.size == 8 and await found.text() == "streamed" and found.checksums.md5.byteLength == 16
    assert await there.get("no") is None or str(await there.get("no")) == "jsnull"
    listed = await there.list()
    assert "js" in [o.key for o in listed.objects]
    upload = await there.createMultipartUpload("js-parts")
    part = await upload.uploadPart(1, "one")
    whole = await upload.complete(js.Array.of(part))
    assert whole.size == 3 and await (await there.get("js-parts")).text() == "one"


TESTS = named(objects, metadata, conditions, ranges, checksums, lists, multipart, limits, sync, from_javascript)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlsplit(request.url).path[1:]
        bucket = self.env.BUCKET
        if name == "large":
            if request.method == "PUT":
                body = request.js_object.body
                put = await bucket.put("large", body)
                assert request.js_object.bodyUsed
                return Response(f"{put.size} {put.etag}")
            body = (await bucket.get("large")).body
            response = Response(body)
            # Not read by anybody here.
            assert response.body == body.js_object
            return response
        if name == "keys":
            return Response.json([o.key for o in (await bucket.list(prefix="l")).objects])
        await TESTS[name](bucket)
        return Response("ok")
