//! `url.*`: the URL standard, by the crate that Servo made for it.

use taipan_guest::protocol::{Field, FieldRef, Message};
use url::{Url, quirks};

use super::{Fields, OpError};

pub(super) fn call(verb: &str, args: &Message<'_>) -> Fields {
    match verb {
        "parse" => parse(args),
        "set" => set(args),
        _ => Err(OpError::unknown(verb)),
    }
}

fn parse(args: &Message<'_>) -> Fields {
    let base = match args.get(1) {
        FieldRef::Null => None,
        _ => Some(absolute(args.str(1)?)?),
    };
    let href = args.str(0)?;
    let url = Url::options().base_url(base.as_ref()).parse(href).map_err(|_| invalid(href))?;
    Ok(components(&url))
}

fn set(args: &Message<'_>) -> Fields {
    let mut url = absolute(args.str(0)?)?;
    let value = args.str(2)?;
    // By the standard an invalid value leaves the URL as it was, and only `href` throws.
    match args.str(1)? {
        "href" => url = absolute(value)?,
        "protocol" => drop(quirks::set_protocol(&mut url, value)),
        "username" => drop(quirks::set_username(&mut url, value)),
        "password" => drop(quirks::set_password(&mut url, value)),
        "host" => drop(quirks::set_host(&mut url, value)),
        "hostname" => drop(quirks::set_hostname(&mut url, value)),
        "port" => drop(quirks::set_port(&mut url, value)),
        "pathname" => quirks::set_pathname(&mut url, value),
        "search" => quirks::set_search(&mut url, value),
        "hash" => quirks::set_hash(&mut url, value),
        other => return Err(OpError::type_error(format!("a URL has no such part: {other}"))),
    }
    Ok(components(&url))
}

fn absolute(href: &str) -> Result<Url, OpError> {
    Url::parse(href).map_err(|_| invalid(href))
}

fn invalid(href: &str) -> OpError {
    OpError::type_error(format!("Invalid URL: {href}"))
}

fn components(url: &Url) -> Vec<Field> {
    vec![
        quirks::href(url).into(),
        quirks::protocol(url).into(),
        quirks::username(url).into(),
        quirks::password(url).into(),
        quirks::host(url).into(),
        quirks::hostname(url).into(),
        quirks::port(url).into(),
        quirks::pathname(url).into(),
        quirks::search(url).into(),
        quirks::hash(url).into(),
        origin(url).into(),
    ]
}

fn origin(url: &Url) -> String {
    // The crate gives the origin of whatever is behind `blob:`; the standard that of web pages only.
    match url.scheme() {
        "blob" if !["http:", "https:"].iter().any(|scheme| url.path().starts_with(scheme)) => "null".into(),
        _ => quirks::origin(url),
    }
}

#[cfg(test)]
mod tests {
    use taipan_guest::protocol::encode;

    use super::*;

    fn run(verb: &str, fields: &[Field]) -> Result<Vec<String>, String> {
        let bytes = encode(fields);
        let out = call(verb, &Message::decode(&bytes).unwrap())
            .map_err(|e| format!("{}: {}", e.name, e.message))?;
        Ok(out.into_iter().map(|f| if let Field::Str(s) = f { s } else { panic!("{f:?}") }).collect())
    }

    fn set(href: &str, part: &str, value: &str) -> String {
        run("set", &[href.into(), part.into(), value.into()]).unwrap().remove(0)
    }

    #[test]
    fn parts_of_a_url() {
        let parts = run("parse", &["../b?q#h".into(), "HTTP://me:pw@EXAMPLE.com:80/a/c".into()]).unwrap();
        assert_eq!(
            parts,
            [
                "http://me:pw@example.com/b?q#h",
                "http:",
                "me",
                "pw",
                "example.com",
                "example.com",
                "",
                "/b",
                "?q",
                "#h",
                "http://example.com"
            ]
        );
    }

    #[test]
    fn invalid_urls_throw() {
        assert_eq!(run("parse", &["nope".into(), Field::Null]).unwrap_err(), "TypeError: Invalid URL: nope");
        assert!(run("parse", &["/x".into(), "nope".into()]).is_err());
        assert!(run("parse", &["/x".into(), 1.0.into()]).is_err());
        assert!(run("set", &["http://a/".into(), "href".into(), "nope".into()]).is_err());
        assert!(run("set", &["http://a/".into(), "colour".into(), "red".into()]).is_err());
    }

    #[test]
    fn setters_ignore_what_is_invalid() {
        let u = "http://a.test:8080/p?q#h";
        assert_eq!(set(u, "port", "99999"), u);
        assert_eq!(set(u, "port", "81"), "http://a.test:81/p?q#h");
        assert_eq!(set(u, "port", ""), "http://a.test/p?q#h");
        assert_eq!(set(u, "host", "b.test:9"), "http://b.test:9/p?q#h");
        assert_eq!(set(u, "hostname", "b.test:9"), u);
        assert_eq!(set(u, "hostname", ""), u);
        assert_eq!(set(u, "protocol", "https"), "https://a.test:8080/p?q#h");
        assert_eq!(set(u, "protocol", "mailto"), u);
        assert_eq!(set(u, "pathname", "a b"), "http://a.test:8080/a%20b?q#h");
        assert_eq!(set(u, "search", ""), "http://a.test:8080/p#h");
        assert_eq!(set(u, "hash", "#x"), "http://a.test:8080/p?q#x");
        assert_eq!(set(u, "username", "é"), "http://%C3%A9@a.test:8080/p?q#h");
        assert_eq!(set("mailto:x", "host", "b"), "mailto:x");
    }
}
