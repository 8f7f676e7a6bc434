//! The little XML that S3's clients read and send: elements that hold text, in elements that hold elements.

/// Text as an element's content.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() && c != '\n' && c != '\t' => {
                escaped.push_str(&format!("&#x{:X};", u32::from(c)))
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// An element with text in it.
pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// What is in each of the elements with this name, which do not lie in each other; as it was sent.
pub(super) fn all<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once(open.as_str()) {
        // Another element may begin with the name.
        let is_it = after.starts_with(['>', ' ', '\t', '\r', '\n']);
        let inside = after.split_once('>').filter(|_| is_it).map(|(_, inside)| inside);
        match inside.and_then(|inside| inside.split_once(close.as_str())) {
            Some((content, after)) => {
                found.push(content);
                rest = after;
            }
            None => rest = after,
        }
    }
    found
}

/// The text in the first element with this name.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    all(xml, name).first().map(|text| unescape(text))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((entity, after)) = after.split_once(';').filter(|(entity, _)| !entity.contains('&')) else {
            plain.push('&');
            rest = after;
            continue;
        };
        let number = entity.strip_prefix("#x").map(|n| u32::from_str_radix(n, 16));
        let number = number.or_else(|| entity.strip_prefix('#').map(str::parse));
        match (entity, number.and_then(Result::ok).and_then(char::from_u32)) {
            (_, Some(c)) => plain.push(c),
            ("amp", _) => plain.push('&'),
            ("lt", _) => plain.push('<'),
            ("gt", _) => plain.push('>'),
            ("quot", _) => plain.push('"'),
            ("apos", _) => plain.push('\''),
            _ => plain.push_str(&format!("&{entity};")),
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let hostile = "a<b>&\"c\u{1}é";
        assert_eq!(text(&element("Key", hostile), "Key").as_deref(), Some(hostile));
        let xml = "<Delete xmlns=\"x\"><Object><Key>a&#x20;b</Key></Object><Object ><Key>c</Key></Object><Objects/></Delete>";
        let keys: Vec<_> = all(xml, "Object").into_iter().map(|object| text(object, "Key")).collect();
        assert_eq!(keys, [Some("a b".into()), Some("c".into())]);
        assert_eq!(all("<Key><Key", "Key"), Vec::<&str>::new());
        assert_eq!(unescape("&;&no;&&amp;"), "&;&no;&&");
    }
}
