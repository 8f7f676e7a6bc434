"""boto3 against the buckets of a `taipan dev`. Usage: client.py ENDPOINT SECRET"""

import base64
import hashlib
import hmac
import io
import json
import sys
import urllib.error
import urllib.request
import zlib
from datetime import UTC, datetime, timedelta

import boto3
import botocore.auth
from boto3.s3.transfer import TransferConfig
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ENDPOINT, SECRET = sys.argv[1:]
ORIGIN = ENDPOINT.removesuffix("/cdn-cgi/local/r2/s3")
HOSTILE = "a b/é +&=?#%/<x>.txt"


def client(secret=SECRET, **config):
    config = Config(signature_version="s3v4", retries={"max_attempts": 1}, **config)
    keys = {"aws_access_key_id": "taipan", "aws_secret_access_key": secret}
    return boto3.client("s3", endpoint_url=ENDPOINT, region_name="auto", config=config, **keys)


s3 = client()


def fails(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error
    raise AssertionError(f"no error: {code}")


def objects():
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["others", "things"]
    s3.head_bucket(Bucket="things")
    fails("404", s3.head_bucket, Bucket="nothing")
    expires = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    put = s3.put_object(
        Bucket="things", Key=HOSTILE, Body=b"hello", ContentType="text/x", CacheControl="no-store", Metadata={"a": "1"}, Expires=expires
    )
    assert put["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    for found in (s3.get_object(Bucket="things", Key=HOSTILE), s3.head_object(Bucket="things", Key=HOSTILE)):
        assert (found["ContentLength"], found["ContentType"], found["CacheControl"]) == (5, "text/x", "no-store")
        assert found["Metadata"] == {"a": "1"} and found["ETag"] == put["ETag"] and found["ExpiresString"].endswith("03:04:05 GMT")
        assert abs(datetime.now(UTC) - found["LastModified"]) < timedelta(minutes=5)
    assert s3.get_object(Bucket="things", Key=HOSTILE)["Body"].read() == b"hello"
    s3.put_object(Bucket="things", Key="empty", Body=b"")
    assert s3.get_object(Bucket="things", Key="empty")["Body"].read() == b""
    fails("NoSuchKey", s3.get_object, Bucket="things", Key="missing")
    fails("404", s3.head_object, Bucket="things", Key="missing")
    fails("NoSuchBucket", s3.get_object, Bucket="nothing", Key="a")
    s3.delete_object(Bucket="things", Key="empty")
    s3.delete_object(Bucket="things", Key="empty")
    fails("404", s3.head_object, Bucket="things", Key="empty")


def ranges_and_conditions():
    etag = s3.put_object(Bucket="things", Key="r", Body=b"0123456789")["ETag"]
    found = s3.get_object(Bucket="things", Key="r", Range="bytes=2-4")
    assert found["Body"].read() == b"234" and found["ContentRange"] == "bytes 2-4/10"
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.get_object(Bucket="things", Key="r", Range="bytes=-3")["Body"].read() == b"789"
    assert s3.get_object(Bucket="things", Key="r", Range="bytes=8-")["Body"].read() == b"89"
    fails("InvalidRange", s3.get_object, Bucket="things", Key="r", Range="bytes=10-")
    assert s3.get_object(Bucket="things", Key="r", IfMatch=etag)["Body"].read() == b"0123456789"
    fails("PreconditionFailed", s3.get_object, Bucket="things", Key="r", IfMatch='"other"')
    fails("304", s3.get_object, Bucket="things", Key="r", IfNoneMatch=etag)
    fails("304", s3.get_object, Bucket="things", Key="r", IfModifiedSince=datetime.now(UTC) + timedelta(minutes=1))
    fails("PreconditionFailed", s3.put_object, Bucket="things", Key="r", Body=b"x", IfNoneMatch="*")
    s3.put_object(Bucket="things", Key="new", Body=b"x", IfNoneMatch="*")


def checksums():
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        put = s3.put_object(Bucket="things", Key="sum", Body=b"data", ChecksumAlgorithm=algorithm)
        assert put[f"Checksum{algorithm}"]
    assert put["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"data").digest()).decode()
    for wrong in ({"ChecksumCRC32C": "AAAAAA=="}, {"ChecksumCRC64NVME": "AAAAAAAAAAA="}, {"ChecksumSHA1": "A" * 27 + "="}):
        fails("BadDigest", s3.put_object, Bucket="things", Key="sum", Body=b"data", **wrong)
    fails("InvalidRequest", s3.put_object, Bucket="things", Key="sum", Body=b"data", ChecksumCRC32C="AAAA")
    fails("BadDigest", s3.put_object, Bucket="things", Key="sum", Body=b"data", ChecksumCRC32="AAAAAA==")
    fails("BadDigest", s3.put_object, Bucket="things", Key="sum", Body=b"data", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    assert s3.get_object(Bucket="things", Key="sum")["Body"].read() == b"data"


def kept_checksums():
    """What clients say of what they put is there for others, who ask for it."""
    sha1 = base64.b64encode(hashlib.sha1(b"data").digest()).decode()
    s3.put_object(Bucket="things", Key="kept", Body=b"data", ChecksumAlgorithm="SHA1")
    # With its trailer, as boto3 sends it by default.
    s3.put_object(Bucket="things", Key="crc", Body=b"data")
    for call in (s3.get_object, s3.head_object):
        found = call(Bucket="things", Key="kept", ChecksumMode="ENABLED")
        assert (found["ChecksumSHA1"], found["ChecksumType"]) == (sha1, "FULL_OBJECT"), found
        crc = call(Bucket="things", Key="crc", ChecksumMode="ENABLED")["ChecksumCRC32"]
        assert crc == base64.b64encode(zlib.crc32(b"data").to_bytes(4)).decode()
    found = client(response_checksum_validation="when_required").get_object(Bucket="things", Key="kept")
    assert "ChecksumSHA1" not in found and "ChecksumSHA1" not in s3.get_object(Bucket="things", Key="kept", Range="bytes=0-1")
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    found = s3.get_object_attributes(Bucket="things", Key="kept", ObjectAttributes=wanted)
    assert found["Checksum"] == {"ChecksumSHA1": sha1, "ChecksumType": "FULL_OBJECT"} and found["ETag"] == hashlib.md5(b"data").hexdigest()
    assert (found["ObjectSize"], found["StorageClass"], "ObjectParts" in found) == (4, "STANDARD", False)
    assert "ETag" not in s3.get_object_attributes(Bucket="things", Key="kept", ObjectAttributes=["ObjectSize"])
    fails("NoSuchKey", s3.get_object_attributes, Bucket="things", Key="missing", ObjectAttributes=wanted)
    s3.copy_object(Bucket="others", Key="kept", CopySource={"Bucket": "things", "Key": "kept"})
    assert s3.head_object(Bucket="others", Key="kept", ChecksumMode="ENABLED")["ChecksumSHA1"] == sha1
    s3.delete_object(Bucket="others", Key="kept")
    # Of an object in parts, it is that of the parts' checksums.
    parts = [b"x" * (5 << 20), b"y"]
    sums = [hashlib.sha256(part).digest() for part in parts]
    of = {"Bucket": "things", "Key": "composed"}
    upload = s3.create_multipart_upload(**of, ChecksumAlgorithm="SHA256")["UploadId"]
    put = [s3.upload_part(**of, UploadId=upload, PartNumber=n, Body=part, ChecksumAlgorithm="SHA256") for n, part in enumerate(parts, 1)]
    listed = s3.list_parts(**of, UploadId=upload)["Parts"]
    assert [part["ChecksumSHA256"] for part in listed] == [base64.b64encode(digest).decode() for digest in sums]
    done = [{"PartNumber": n, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]} for n, part in enumerate(put, 1)]
    composed = base64.b64encode(hashlib.sha256(b"".join(sums)).digest()).decode() + "-2"
    made = s3.complete_multipart_upload(**of, UploadId=upload, MultipartUpload={"Parts": done})
    assert (made["ChecksumSHA256"], made["ChecksumType"]) == (composed, "COMPOSITE")
    found = s3.get_object(**of, ChecksumMode="ENABLED")
    assert found["ChecksumSHA256"] == composed and found["Body"].read() == b"".join(parts)
    found = s3.get_object_attributes(**of, ObjectAttributes=wanted)
    assert found["ObjectParts"]["TotalPartsCount"] == 2 and found["Checksum"]["ChecksumType"] == "COMPOSITE"
    s3.delete_object(**of)


def lists():
    keys = [f"l/{name}" for name in ("a", "b/1", "b/2", "c d", "d/1", "é&<")]
    for key in keys:
        s3.put_object(Bucket="others", Key=key, Body=key.encode())
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="others")["Contents"]] == keys
    found = s3.list_objects_v2(Bucket="others", Prefix="l/", Delimiter="/")
    assert [item["Key"] for item in found["Contents"]] == ["l/a", "l/c d", "l/é&<"]
    assert [item["Prefix"] for item in found["CommonPrefixes"]] == ["l/b/", "l/d/"]
    for operation in ("list_objects_v2", "list_objects"):
        got, groups = [], []
        for page in s3.get_paginator(operation).paginate(Bucket="others", Delimiter="/", Prefix="l/", PaginationConfig={"PageSize": 2}):
            got += [item["Key"] for item in page.get("Contents", [])]
            groups += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
        assert got == ["l/a", "l/c d", "l/é&<"] and groups == ["l/b/", "l/d/"], (operation, got, groups)
    found = s3.list_objects_v2(Bucket="others", StartAfter="l/b/2", MaxKeys=2)
    assert [item["Key"] for item in found["Contents"]] == ["l/c d", "l/d/1"] and found["IsTruncated"]
    gone = s3.delete_objects(Bucket="others", Delete={"Objects": [{"Key": key} for key in [*keys, "missing"]]})
    assert [item["Key"] for item in gone["Deleted"]] == [*keys, "missing"]
    assert s3.list_objects_v2(Bucket="others")["KeyCount"] == 0


def parts():
    data = bytes(range(256)) * (17 << 12)
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_fileobj(io.BytesIO(data), "things", "large", Config=config, ExtraArgs={"ContentType": "text/z"})
    found = s3.head_object(Bucket="things", Key="large")
    assert found["ContentLength"] == len(data) and found["ETag"].endswith('-4"') and found["ContentType"] == "text/z"
    back = io.BytesIO()
    s3.download_fileobj("things", "large", back, Config=config)
    assert back.getvalue() == data
    upload = s3.create_multipart_upload(Bucket="things", Key="never")["UploadId"]
    part = s3.upload_part(Bucket="things", Key="never", UploadId=upload, PartNumber=1, Body=b"x")
    wrong = {"Parts": [{"PartNumber": 1, "ETag": '"0"'}]}
    fails("InvalidPart", s3.complete_multipart_upload, Bucket="things", Key="never", UploadId=upload, MultipartUpload=wrong)
    s3.abort_multipart_upload(Bucket="things", Key="never", UploadId=upload)
    right = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    fails("NoSuchUpload", s3.complete_multipart_upload, Bucket="things", Key="never", UploadId=upload, MultipartUpload=right)


def uploads():
    """What is listed of uploads, page by page, and what cannot be made of their parts."""
    ids = [s3.create_multipart_upload(Bucket="others", Key=key)["UploadId"] for key in ("u/a", "u/a", "u/b c", "v")]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket="others", Prefix="u/", PaginationConfig={"PageSize": 1})
    listed = [upload for page in pages for upload in page["Uploads"]]
    assert [upload["Key"] for upload in listed] == ["u/a", "u/a", "u/b c"] and {upload["UploadId"] for upload in listed} == set(ids[:3])
    assert abs(datetime.now(UTC) - listed[0]["Initiated"]) < timedelta(minutes=5)
    of = {"Bucket": "others", "Key": "u/b c", "UploadId": ids[2]}
    etags = [s3.upload_part(**of, PartNumber=number, Body=b"x" * number)["ETag"] for number in (1, 2, 5)]
    found = [part for page in s3.get_paginator("list_parts").paginate(**of, PaginationConfig={"PageSize": 2}) for part in page["Parts"]]
    assert [(part["PartNumber"], part["Size"], part["ETag"]) for part in found] == list(zip((1, 2, 5), (1, 2, 5), etags))
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in zip((1, 2), etags)]
    fails("EntityTooSmall", s3.complete_multipart_upload, **of, MultipartUpload={"Parts": parts})
    fails("InvalidPartOrder", s3.complete_multipart_upload, **of, MultipartUpload={"Parts": parts[::-1]})
    s3.complete_multipart_upload(**of, MultipartUpload={"Parts": parts[:1]})
    fails("NoSuchUpload", s3.list_parts, **of)
    for key, upload in zip(("u/a", "u/a", "v"), (*ids[:2], ids[3])):
        s3.abort_multipart_upload(Bucket="others", Key=key, UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="others")
    fails("KeyTooLongError", s3.put_object, Bucket="others", Key="k" * 1025, Body=b"")
    fails("MetadataTooLarge", s3.put_object, Bucket="others", Key="k", Body=b"", Metadata={"a": "x" * 9000})


class Chunks(botocore.auth.S3SigV4Auth):
    """A request whose body's chunks are signed, too, as other SDKs do by default."""

    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"

    def payload(self, request):
        return self.kind

    def _should_sha256_sign_payload(self, request):
        return True

    def signature(self, string_to_sign, request):
        seed = super().signature(string_to_sign, request)
        _, date, scope, _ = string_to_sign.split("\n")
        key = f"AWS4{SECRET}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self.chain = (key, f"{date}\n{scope}", seed)
        return seed

    def sign(self, what, *digests):
        key, origin, last = self.chain
        text = "\n".join([f"AWS4-HMAC-SHA256-{what}", origin, last, *(hashlib.sha256(data).hexdigest() for data in digests)])
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        self.chain = (key, origin, signature)
        return signature

    def body(self, chunks, trailer):
        body = b""
        for chunk in (*chunks, b""):
            body += f"{len(chunk):x};chunk-signature={self.sign('PAYLOAD', b'', chunk)}\r\n".encode()
            body += chunk + b"\r\n" if chunk else b""
        signature = self.sign("TRAILER", f"{trailer}\n".encode())
        return body + f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()


def signed_chunks():
    chunks = [b"a" * 9000, b"b" * 8192, b"the rest"]
    data = b"".join(chunks)
    sha1 = base64.b64encode(hashlib.sha1(data).digest()).decode()

    def put(change=lambda body: body, length=len(data)):
        headers = {"x-amz-decoded-content-length": str(length), "x-amz-trailer": "x-amz-checksum-sha1", "content-encoding": "aws-chunked"}
        request = AWSRequest("PUT", f"{ENDPOINT}/things/chunks", data=b"", headers=headers)
        auth = Chunks(Credentials("taipan", SECRET), "s3", "auto")
        auth.add_auth(request)
        body = change(auth.body(chunks, f"x-amz-checksum-sha1:{sha1}"))
        return urllib.request.urlopen(urllib.request.Request(request.url, data=body, method="PUT", headers=dict(request.headers.items())))

    with put() as answer:
        assert answer.headers["x-amz-checksum-sha1"] == sha1
    found = s3.get_object(Bucket="things", Key="chunks")
    assert found["Body"].read() == data and "ContentEncoding" not in found
    s3.delete_object(Bucket="things", Key="chunks")
    for code, change, length in (
        (b"SignatureDoesNotMatch", lambda body: body.replace(b"bbbb", b"bbbc", 1), len(data)),
        (b"SignatureDoesNotMatch", lambda body: body.replace(sha1.encode(), b"A" * 27 + b"="), len(data)),
        (b"IncompleteBody", lambda body: body[:-2], len(data)),
        (b"IncompleteBody", lambda body: body, len(data) + 1),
    ):
        try:
            put(change, length)
        except urllib.error.HTTPError as error:
            said = error.read()
            assert code in said, said
        else:
            raise AssertionError(code)
    fails("404", s3.head_object, Bucket="things", Key="chunks")


def copies():
    s3.put_object(Bucket="things", Key=HOSTILE, Body=b"copied", ContentType="text/c")
    s3.copy_object(Bucket="others", Key="copy", CopySource={"Bucket": "things", "Key": HOSTILE})
    found = s3.get_object(Bucket="others", Key="copy")
    assert found["Body"].read() == b"copied" and found["ContentType"] == "text/c"


def signed_urls():
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "things", "Key": HOSTILE}, ExpiresIn=60)
    with urllib.request.urlopen(urllib.request.Request(url, data=b"by URL", method="PUT", headers={"content-type": ""})) as answer:
        assert answer.status == 200
    params = {"Bucket": "things", "Key": HOSTILE, "ResponseContentType": "text/own"}
    url = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"by URL" and answer.headers["content-type"] == "text/own"
    for wrong in (url.replace("text%2Fown", "text%2Fother"), url[:-1] + ("0" if url[-1] != "0" else "1"), url.split("?")[0]):
        try:
            urllib.request.urlopen(wrong)
        except urllib.error.HTTPError as error:
            assert error.code == 403 and b"<Error>" in error.read()
        else:
            raise AssertionError(wrong)


def strangers():
    fails("SignatureDoesNotMatch", client("wrong").get_object, Bucket="things", Key="r")
    fails("SignatureDoesNotMatch", client("wrong").put_object, Bucket="things", Key="r", Body=b"x")


def the_worker_sees_them():
    data = "hé".encode()
    s3.put_object(Bucket="things", Key="seen", Body=data, ContentType="text/s", Metadata={"k": "v"}, ChecksumAlgorithm="SHA256")
    # What R2 has no name for, such as CRC32, is not among them.
    sums = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    with urllib.request.urlopen(f"{ORIGIN}/seen") as answer:
        assert json.load(answer) == {"text": "hé", "type": "text/s", "custom": {"k": "v"}, "sums": sums}
    s3.put_object(Bucket="things", Key="seen", Body=data, ContentType="text/s")
    with urllib.request.urlopen(f"{ORIGIN}/seen") as answer:
        assert json.load(answer)["sums"] == {"md5": sums["md5"]}


for test in (objects, ranges_and_conditions, checksums, kept_checksums, lists, parts, uploads, signed_chunks, copies, signed_urls, strangers, the_worker_sees_them):
    test()
    print(test.__name__, flush=True)
