//! A SCIM target of any size in this process: what it tells is computed as it is asked for, so that it needs no memory.

use std::collections::HashMap;
use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Departments; everybody is in one, and each has a group.
pub const DEPARTMENTS: u32 = 1_000;
/// Teams; everybody is in one, and each has a group.
pub const TEAMS: u32 = 700;
/// Everybody whose number is a multiple of this holds a role that nothing justifies.
pub const GREW_EVERY: u32 = 100;
/// Values of that role.
const ROLES: u32 = 10;
/// More than this is not given at once.
const PAGE_SIZE_MAX: u32 = 1_000;
const GROUPS: u32 = DEPARTMENTS + TEAMS;
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// The target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Users, each in two groups.
    pub accounts: u32,
}

impl Target {
    /// Grants that it tells.
    pub fn grants(self) -> u64 {
        u64::from(self.accounts) * 2 + u64::from(self.accounts.div_ceil(GREW_EVERY))
    }

    /// Answers on loopback until the runtime ends.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(self.converse(stream));
        }
    }

    async fn converse(self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut buffer = Vec::with_capacity(4096);
        loop {
            // Nothing is asked with a body.
            while let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
                buffer.drain(..end + 4);
                let (status, body) = self.answer(&head);
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/scim+json\r\ncontent-length: {length}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(body.as_bytes()).await?;
            }
            if buffer.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    fn answer(self, head: &str) -> (&'static str, String) {
        let asked = head.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let query: HashMap<&str, &str> = query.split('&').filter_map(|part| part.split_once('=')).collect();
        let number = |name: &str, default: u32| {
            query.get(name).and_then(|text| text.parse::<u32>().ok()).unwrap_or(default)
        };
        let (start, count) = (number("startIndex", 1).max(1), number("count", 100).min(PAGE_SIZE_MAX));
        match path {
            "/v2/ServiceProviderConfig" => ("200 OK", self.service()),
            "/v2/Users" => {
                ("200 OK", page(self.accounts, start, count, |body, number| self.user(body, number)))
            }
            "/v2/Groups" => {
                let with_members = !query.contains_key("excludedAttributes");
                ("200 OK", page(GROUPS, start, count, |body, number| self.group(body, number, with_members)))
            }
            _ => {
                let schema = "urn:ietf:params:scim:api:messages:2.0:Error";
                (
                    "404 Not Found",
                    format!(r#"{{"schemas":["{schema}"],"status":"404","detail":"no such resource"}}"#),
                )
            }
        }
    }

    fn service(self) -> String {
        format!(
            r#"{{"patch":{{"supported":true}},"filter":{{"supported":true,"maxResults":{PAGE_SIZE_MAX}}},"etag":{{"supported":false}},"pagination":{{"cursor":false,"index":true,"maxPageSize":{PAGE_SIZE_MAX}}}}}"#
        )
    }

    /// A user as applications write them, of about 700 bytes.
    fn user(self, body: &mut String, number: u32) {
        let (department, role) = (number % DEPARTMENTS, number / GREW_EVERY % ROLES);
        let roles = match number.is_multiple_of(GREW_EVERY) {
            true => format!(r#""roles":[{{"value":"grew-{role}"}}],"#),
            false => String::new(),
        };
        let _ = write!(
            body,
            r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"id":"00000000-0000-4000-8000-{number:012x}","externalId":"hr-{number}","userName":"p{number}","name":{{"givenName":"Given{number}","familyName":"Family{number}","formatted":"Given{number} Family{number}"}},"displayName":"Given{number} Family{number}","emails":[{{"value":"p{number}@example.com","type":"work","primary":true}}],"active":true,{roles}"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{{"employeeNumber":"E{number}","department":"D{department}"}},"meta":{{"resourceType":"User","created":"2026-01-01T00:00:00Z","lastModified":"2026-01-02T00:00:00Z","location":"http://127.0.0.1/v2/Users/00000000-0000-4000-8000-{number:012x}"}}}}"#
        );
    }

    fn group(self, body: &mut String, number: u32, with_members: bool) {
        let (name, first, step) = match number.checked_sub(DEPARTMENTS) {
            None => (format!("department-{number}"), number, DEPARTMENTS),
            Some(team) => (format!("team-{team}"), team, TEAMS),
        };
        let _ = write!(body, r#"{{"id":"00000000-0000-4000-9000-{number:012x}","displayName":"{name}""#);
        if with_members {
            body.push_str(r#","members":["#);
            for (place, member) in (first..self.accounts).step_by(step as usize).enumerate() {
                let comma = if place == 0 { "" } else { "," };
                let _ = write!(
                    body,
                    r#"{comma}{{"value":"00000000-0000-4000-8000-{member:012x}","type":"User","display":"p{member}"}}"#
                );
            }
            body.push(']');
        }
        body.push('}');
    }
}

/// A page of resources whose numbers begin at 0, while a list's places begin at 1.
fn page(total: u32, start: u32, count: u32, write_one: impl Fn(&mut String, u32)) -> String {
    let first = (start - 1).min(total);
    let end = first.saturating_add(count).min(total);
    let mut body = format!(
        r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":{total},"startIndex":{start},"itemsPerPage":{},"Resources":["#,
        end - first
    );
    for number in first..end {
        if number > first {
            body.push(',');
        }
        write_one(&mut body, number);
    }
    body.push_str("]}");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_and_membership_is_told_once() {
        let target = Target { accounts: 2_345 };
        let parsed = |path: &str| -> serde_json::Value {
            let (status, body) = target.answer(&format!("GET {path} HTTP/1.1\r\nhost: x"));
            assert_eq!(status, "200 OK");
            serde_json::from_str(&body).unwrap()
        };
        let mut users = std::collections::BTreeSet::new();
        let mut grants = 0;
        for start in [1, 1_001, 2_001] {
            let page = parsed(&format!("/v2/Users?startIndex={start}&count=5000"));
            assert_eq!(page["totalResults"], 2_345);
            for user in page["Resources"].as_array().unwrap() {
                grants += user["roles"].as_array().map_or(0, Vec::len);
                assert!(users.insert(user["id"].as_str().unwrap().to_owned()));
            }
        }
        for start in [1, 1_001] {
            for group in
                parsed(&format!("/v2/Groups?startIndex={start}&count=1000"))["Resources"].as_array().unwrap()
            {
                for member in group["members"].as_array().unwrap() {
                    assert!(users.contains(member["value"].as_str().unwrap()));
                    grants += 1;
                }
            }
        }
        assert_eq!((users.len(), grants as u64), (2_345, target.grants()));
        assert!(parsed("/v2/Groups?count=1&excludedAttributes=members")["Resources"][0]["members"].is_null());
    }
}
