//! Objects that come in parts.

use super::super::objects::{self, Received, ask, composed};
use super::super::time::iso;
use super::super::uri::encode;
use super::super::xml::{all, element, escape, text};
use super::{Answer, Call, NAMESPACE, PATH, failure, not_here, quoted, tagged, xml};

pub(super) async fn create(call: &Call, key: String) -> Answer {
    let metadata = objects::metadata(&call.headers);
    let name = element("Bucket", &call.bucket) + &element("Key", &key);
    let upload = ask(|reply| call.store.create_upload(key, metadata, reply)).await?;
    let content = name + &element("UploadId", &upload);
    Ok(xml(format!(
        "<InitiateMultipartUploadResult xmlns=\"{NAMESPACE}\">{content}</InitiateMultipartUploadResult>"
    )))
}

pub(super) async fn part(call: &Call, key: String, received: Received) -> Answer {
    let Received { stored, sums } = received;
    let number = call.query("partNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
    let upload = call.query("uploadId").unwrap_or_default().to_owned();
    let etag = ask(|reply| call.store.put_part(key, upload, number, stored, reply)).await?;
    if call.headers.contains_key("x-amz-copy-source") {
        let content = element("ETag", &quoted(&etag));
        return Ok(xml(format!("<CopyPartResult xmlns=\"{NAMESPACE}\">{content}</CopyPartResult>")));
    }
    Ok(tagged(&etag, &sums))
}

pub(super) async fn complete(call: &Call, key: String, sent: &str) -> Answer {
    let parts: Option<Vec<(u32, String)>> = all(sent, "Part")
        .into_iter()
        .map(|part| {
            let number = text(part, "PartNumber")?.trim().parse().ok()?;
            Some((number, text(part, "ETag")?.trim().trim_matches('"').to_owned()))
        })
        .collect();
    let parts = parts.ok_or_else(|| failure(400, "MalformedXML", "a part has a PartNumber and an ETag"))?;
    let upload = call.query("uploadId").unwrap_or_default().to_owned();
    let name = key.clone();
    let object = ask(|reply| call.store.complete_upload_with(key, upload, parts, composed, reply)).await?;
    let (sums, kind) = objects::checksums(&object.checksums);
    let sums: String = sums.iter().map(|(algorithm, sum)| element(&algorithm.element(), sum)).collect();
    let kind = if sums.is_empty() { String::new() } else { element("ChecksumType", kind) };
    let content = element("Bucket", &call.bucket)
        + &element("Key", &name)
        + &element("ETag", &quoted(&object.etag))
        + &sums
        + &kind
        + &format!(
            "<Location>{}</Location>",
            escape(&format!("{PATH}/{}/{}", call.bucket, encode(&name, true)))
        );
    Ok(xml(format!(
        "<CompleteMultipartUploadResult xmlns=\"{NAMESPACE}\">{content}</CompleteMultipartUploadResult>"
    )))
}

/// Uploads that are neither completed nor given up.
pub(super) async fn list(call: &Call) -> Answer {
    if call.query("delimiter").is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(not_here("a delimiter of uploads"));
    }
    let limit = call.most("max-uploads")?;
    let prefix = call.query("prefix").unwrap_or_default().to_owned();
    let marker = call.query("key-marker").unwrap_or_default().to_owned();
    let upload = call.query("upload-id-marker").filter(|_| !marker.is_empty()).map(str::to_owned);
    // Without an upload, all of the key's are behind the marker.
    let after = match (marker.as_str(), upload) {
        ("", _) => (String::new(), String::new()),
        (_, upload) => (marker.clone(), upload.unwrap_or_else(|| "\u{10FFFF}".to_owned())),
    };
    let beginning = prefix.clone();
    let mut found = ask(|reply| call.store.uploads(beginning, after, limit.saturating_add(1), reply)).await?;
    let is_truncated = found.len() > limit as usize && limit > 0;
    found.truncate(limit as usize);
    let is_encoded = call.query("encoding-type") == Some("url");
    let key = |text: &str| if is_encoded { encode(text, true) } else { text.to_owned() };
    let mut content = element("Bucket", &call.bucket)
        + &element("Prefix", &key(&prefix))
        + &element("KeyMarker", &key(&marker))
        + &element("UploadIdMarker", call.query("upload-id-marker").unwrap_or_default())
        + &element("MaxUploads", &limit.to_string())
        + &element("IsTruncated", if is_truncated { "true" } else { "false" });
    if is_encoded {
        content += &element("EncodingType", "url");
    }
    if let Some(last) = found.last().filter(|_| is_truncated) {
        content += &element("NextKeyMarker", &key(&last.key));
        content += &element("NextUploadIdMarker", &last.upload);
    }
    for pending in &found {
        content += "<Upload>";
        content += &element("Key", &key(&pending.key));
        content += &element("UploadId", &pending.upload);
        content += &element("Initiated", &iso(pending.begun_ms));
        content += "<StorageClass>STANDARD</StorageClass></Upload>";
    }
    Ok(xml(format!(
        "<ListMultipartUploadsResult xmlns=\"{NAMESPACE}\">{content}</ListMultipartUploadsResult>"
    )))
}

/// The parts of an upload that have come.
pub(super) async fn parts(call: &Call, key: String) -> Answer {
    let limit = call.most("max-parts")?;
    let after = call.query("part-number-marker").filter(|marker| !marker.is_empty()).map(str::parse::<u32>);
    let after = after.transpose();
    let after = after.map_err(|_| failure(400, "InvalidArgument", "part-number-marker is no number"))?;
    let after = after.unwrap_or_default();
    let upload = call.query("uploadId").unwrap_or_default().to_owned();
    let (name, id) = (key.clone(), upload.clone());
    let mut found = ask(|reply| call.store.parts(key, upload, after, limit.saturating_add(1), reply)).await?;
    let is_truncated = found.len() > limit as usize && limit > 0;
    found.truncate(limit as usize);
    let mut content = element("Bucket", &call.bucket)
        + &element("Key", &name)
        + &element("UploadId", &id)
        + &element("PartNumberMarker", &after.to_string())
        + &element("MaxParts", &limit.to_string())
        + &element("IsTruncated", if is_truncated { "true" } else { "false" });
    if let Some(last) = found.last().filter(|_| is_truncated) {
        content += &element("NextPartNumberMarker", &last.number.to_string());
    }
    for part in &found {
        content += "<Part>";
        content += &element("PartNumber", &part.number.to_string());
        content += &element("LastModified", &iso(part.stored_ms));
        content += &element("ETag", &quoted(&part.etag));
        content += &element("Size", &part.size.to_string());
        for (algorithm, sum) in objects::checksums(&part.checksums).0 {
            content += &element(&algorithm.element(), &sum);
        }
        content += "</Part>";
    }
    content += "<StorageClass>STANDARD</StorageClass>";
    Ok(xml(format!("<ListPartsResult xmlns=\"{NAMESPACE}\">{content}</ListPartsResult>")))
}
