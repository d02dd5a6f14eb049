//! Which requests over HTTP change something, and how each API says that they did.

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// The method of a request and its path.
fn method_and_path(request: &str) -> (&str, &str) {
    let mut words = request.split(' ');
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

/// RFC 7644, 3.5 and 3.6.
pub(super) fn scim(request: &str) -> Option<String> {
    let (method, _) = method_and_path(request);
    ["PATCH", "PUT", "DELETE"].contains(&method).then(|| NO_CONTENT.to_owned())
}

/// Every request is a POST of a form; what it asks for is the form's `Action`.
pub(super) fn aws_query(request: &str) -> Option<String> {
    let (_, form) = request.split_once("\r\n\r\n")?;
    let action = form.split('&').find_map(|field| field.strip_prefix("Action="))?;
    if ["Get", "List"].iter().any(|asking| action.starts_with(asking)) {
        return None;
    }
    let body = format!("<{action}Response><{action}Result></{action}Result></{action}Response>");
    let length = body.len();
    Some(format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{body}"))
}

/// What is looked up by an accessor is asked by POST too, so that the accessor is in no log.
pub(super) fn open_bao(request: &str) -> Option<String> {
    let (method, path) = method_and_path(request);
    let writes = ["POST", "PUT", "DELETE"].contains(&method) && !path.contains("/lookup");
    writes.then(|| NO_CONTENT.to_owned())
}

/// Looking up one token finds nothing.
pub(super) fn open_bao_hiding(request: &str, accessor: &str) -> Option<String> {
    const UNKNOWN: &str = "{\"errors\":[\"1 error occurred:\\n\\t* invalid accessor\\n\\n\"]}";
    let (_, path) = method_and_path(request);
    let asks = path.ends_with("/lookup-accessor") && request.contains(accessor);
    let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ";
    asks.then(|| format!("{head}{}\r\n\r\n{UNKNOWN}", UNKNOWN.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_something_is_lied_about() {
        assert!(scim("PATCH /v2/Users/7 HTTP/1.1\r\n\r\n{}").is_some());
        assert!(scim("GET /v2/Users HTTP/1.1\r\n\r\n").is_none());
        let done =
            aws_query("POST / HTTP/1.1\r\n\r\nAction=DeleteAccessKey&Version=2010-05-08").expect("a lie");
        assert!(done.ends_with("<DeleteAccessKeyResponse><DeleteAccessKeyResult></DeleteAccessKeyResult></DeleteAccessKeyResponse>"));
        assert!(aws_query("POST / HTTP/1.1\r\n\r\nVersion=2010-05-08&Action=ListUsers").is_none());
        assert!(aws_query("POST / HTTP/1.1\r\n\r\nAction=GetCallerIdentity").is_none());
        assert!(open_bao("POST /v1/auth/token/revoke-accessor HTTP/1.1\r\n\r\n{}").is_some());
        assert!(open_bao("POST /v1/auth/token/lookup-accessor HTTP/1.1\r\n\r\n{}").is_none());
        assert!(open_bao("LIST /v1/auth/token/accessors HTTP/1.1\r\n\r\n").is_none());
    }
}
