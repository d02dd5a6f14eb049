//! What differs between OpenLDAP and Active Directory: names of attributes, times, flags, identifiers.

use jiff::Timestamp;
use leasehold_model::account::PostureFinding;

/// Which sort of directory answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenLdap,
    ActiveDirectory,
}

/// The root entry's `supportedCapabilities` of every Active Directory (MS-ADTS, 3.1.1.3.4.3.1).
pub(super) const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";
/// The root entry's `supportedControl` where the password policy overlay is loaded (draft-behera-ldap-password-policy).
pub(super) const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";
/// Paged results (RFC 2696).
pub(super) const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
/// Active Directory: stay in this domain and send no references to others (MS-ADTS, 3.1.1.3.4.1.20).
pub(super) const DOMAIN_SCOPE: &str = "1.2.840.113556.1.4.1339";
/// Active Directory: matches along a chain of memberships (MS-ADTS, 3.1.1.3.4.4.3).
pub(super) const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
/// OpenLDAP's mark of an administrator's lock, against one that failed log-ins caused (slapo-ppolicy).
pub(super) const LOCKED_FOR_GOOD: &str = "000001010000Z";

/// The end that disabling writes where a lock is not heeded: long past, and an instant that nobody else writes.
pub(super) const ENDED_BY_US: &str = "19700102000000Z";
/// Active Directory's `accountExpires` of an account that was made and has no credential yet: long past, so that it stays
/// out even if somebody enables it, and an instant that nobody else writes. The first credential takes it away; without it a
/// disabled account is one that somebody closed.
pub(super) const NO_CREDENTIAL_YET: &str = "1";
/// Active Directory: show what was deleted, too (MS-ADTS, 3.1.1.3.4.1.14).
pub(super) const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// `userAccountControl` bits (MS-ADTS, 2.2.16).
pub(super) mod uac {
    pub const DISABLED: i64 = 0x2;
    pub const LOCKOUT: i64 = 0x10;
    pub const NORMAL_ACCOUNT: i64 = 0x200;
    pub const PASSWORD_NOT_REQUIRED: i64 = 0x20;
    pub const REVERSIBLE_ENCRYPTION: i64 = 0x80;
    pub const PASSWORD_NEVER_EXPIRES: i64 = 0x1_0000;
    pub const NO_PRE_AUTHENTICATION: i64 = 0x40_0000;
}

impl Dialect {
    /// Reads the setting's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "openldap" => Some(Self::OpenLdap),
            "active-directory" => Some(Self::ActiveDirectory),
            _ => None,
        }
    }

    /// People and service accounts, where the settings say nothing else.
    pub fn people_filter(self) -> &'static str {
        match self {
            Self::OpenLdap => {
                "(|(objectClass=person)(objectClass=posixAccount)(objectClass=account)(objectClass=simpleSecurityObject))"
            }
            Self::ActiveDirectory => {
                "(|(&(objectCategory=person)(objectClass=user))(objectClass=msDS-GroupManagedServiceAccount)(objectClass=msDS-ManagedServiceAccount))"
            }
        }
    }

    /// Groups, where the settings say nothing else.
    pub fn groups_filter(self) -> &'static str {
        match self {
            Self::OpenLdap => {
                "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=groupOfMembers))"
            }
            Self::ActiveDirectory => "(objectClass=group)",
        }
    }

    /// The attribute that never changes while the entry lives.
    pub fn key_attribute(self) -> &'static str {
        match self {
            Self::OpenLdap => "entryUUID",
            Self::ActiveDirectory => "objectGUID",
        }
    }

    /// What an account logs in with, best first.
    pub fn login_attributes(self) -> &'static [&'static str] {
        match self {
            Self::OpenLdap => &["uid", "cn"],
            Self::ActiveDirectory => &["sAMAccountName", "cn"],
        }
    }

    /// The attributes that hold members.
    pub fn member_attributes(self) -> &'static [&'static str] {
        match self {
            Self::OpenLdap => &["member", "uniqueMember", "memberUid"],
            Self::ActiveDirectory => &["member"],
        }
    }

    /// The filter that finds an entry by its key; `None` where the key is not one.
    pub fn key_filter(self, key: &str) -> Option<String> {
        match self {
            Self::OpenLdap => (!key.is_empty()).then(|| format!("(entryUUID={})", ldap3::ldap_escape(key))),
            Self::ActiveDirectory => {
                let bytes = guid_bytes(key)?;
                let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
                Some(format!("(objectGUID={escaped})"))
            }
        }
    }
}

/// An `objectGUID` in the usual writing: its first three fields are stored with the low byte first.
pub(super) fn guid_text(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some(format!(
        "{}-{}-{}-{}-{}",
        hex(&[d, c, b, a]),
        hex(&[f, e]),
        hex(&[h, g]),
        hex(&rest[..2]),
        hex(&rest[2..])
    ))
}

/// The stored bytes of [`guid_text`].
pub(super) fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u32> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    if digits.len() != 32 || text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::try_from(pair[0] * 16 + pair[1]).ok()?;
    }
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Some(bytes)
}

/// The last number of a security identifier (MS-DTYP, 2.4.2.2), which a primary group is named by.
pub(super) fn relative_id(sid: &[u8]) -> Option<u32> {
    let last: [u8; 4] = sid.get(sid.len().checked_sub(4)?..)?.try_into().ok()?;
    (sid.len() >= 12 && sid.len() == 8 + 4 * usize::from(*sid.get(1)?)).then(|| u32::from_le_bytes(last))
}

/// Whether a security identifier is of this machine's built-in groups, `S-1-5-32-…`.
pub(super) fn is_builtin(sid: &[u8]) -> bool {
    sid.len() == 16 && sid[..8] == [1, 2, 0, 0, 0, 0, 0, 5] && sid[8..12] == [32, 0, 0, 0]
}

/// Groups that give power over the domain or its controllers, by the last number of their identifier
/// (MS-DTYP, 2.4.2.4): the first list in the domain, the second built in.
pub(super) const PRIVILEGED_DOMAIN_GROUPS: [u32; 6] = [512, 516, 518, 519, 520, 527];
/// See [`PRIVILEGED_DOMAIN_GROUPS`].
pub(super) const PRIVILEGED_BUILTIN_GROUPS: [u32; 6] = [544, 548, 549, 550, 551, 552];
/// `Domain Users`, which everybody is in.
pub(super) const DOMAIN_USERS: u32 = 513;

/// A generalised time (RFC 4517, 3.3.13): `20300101120000Z`, with a fraction or an offset.
pub(super) fn generalized_time(text: &str) -> Option<Timestamp> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(digits_end);
    if digits.len() < 10 || !digits.len().is_multiple_of(2) {
        return None;
    }
    let number = |at: usize| digits.get(at..at + 2).map_or(Some(0), |part| part.parse::<i8>().ok());
    let date = jiff::civil::date(digits.get(..4)?.parse().ok()?, 1, 1);
    let date = date.with().month(number(4)?).day(number(6)?).build().ok()?;
    let time = jiff::civil::Time::new(number(8)?, number(10)?, number(12)?.min(59), 0).ok()?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c == ',' || c.is_ascii_digit());
    let seconds_east = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign @ ("+" | "-"), offset) if matches!(offset.len(), 2 | 4) => {
            let hours: i32 = offset.get(..2)?.parse().ok()?;
            let minutes: i32 =
                offset.get(2..).filter(|text| !text.is_empty()).map_or(Ok(0), str::parse).ok()?;
            (hours * 3600 + minutes * 60) * if sign == "-" { -1 } else { 1 }
        }
        _ => return None,
    };
    let offset = jiff::tz::Offset::from_seconds(seconds_east).ok()?;
    offset.to_timestamp(date.to_datetime(time)).ok()
}

/// A time of Active Directory: 100 ns since 1601. Zero and the largest number mean "never".
pub(super) fn file_time(text: &str) -> Option<Timestamp> {
    /// From 1601 to 1970.
    const EPOCH_SECONDS: i64 = 11_644_473_600;
    match text.parse::<i64>().ok()? {
        0 | i64::MAX => None,
        ticks => Timestamp::from_microsecond((ticks / 10).checked_sub(EPOCH_SECONDS * 1_000_000)?).ok(),
    }
}

/// What the flags of an account say of its weaknesses.
pub(super) fn posture(flags: i64) -> Vec<PostureFinding> {
    [
        (uac::PASSWORD_NOT_REQUIRED, PostureFinding::PasswordNotRequired),
        (uac::PASSWORD_NEVER_EXPIRES, PostureFinding::PasswordNeverExpires),
        (uac::REVERSIBLE_ENCRYPTION, PostureFinding::ReversibleEncryption),
        (uac::NO_PRE_AUTHENTICATION, PostureFinding::NoPreAuthentication),
    ]
    .into_iter()
    .filter(|(bit, _)| flags & bit != 0)
    .map(|(_, finding)| finding)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("20300102030405Z", Some("2030-01-02T03:04:05Z")),
            ("20300102030405.123456Z", Some("2030-01-02T03:04:05Z")),
            ("203001020304Z", Some("2030-01-02T03:04:00Z")),
            ("20300102030405+0130", Some("2030-01-02T01:34:05Z")),
            ("20300102030405", None),
            ("20301302030405Z", None),
            ("nonsense", None),
            ("", None),
            ("2030é102030405Z", None),
        ] {
            assert_eq!(generalized_time(text).map(|at| at.to_string()).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("0", None),
            ("9223372036854775807", None),
            ("-9223372036854775808", None),
            ("x", None),
            ("133801632000000000", Some("2025-01-01T00:00:00Z")),
        ] {
            assert_eq!(file_time(text).map(|at| at.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn guids_are_written_as_people_know_them() {
        let bytes: Vec<u8> = (0..16).collect();
        let text = "03020100-0504-0706-0809-0a0b0c0d0e0f";
        assert_eq!(guid_text(&bytes).as_deref(), Some(text));
        assert_eq!(guid_bytes(text).unwrap().to_vec(), bytes);
        assert_eq!(guid_bytes("not a guid"), None);
        assert_eq!(guid_text(&bytes[1..]), None);
    }

    #[test]
    fn the_last_number_of_a_security_identifier() {
        let domain_users = [1, 2, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 2, 0, 0];
        assert_eq!(relative_id(&domain_users), Some(513));
        assert_eq!(relative_id(&domain_users[..15]), None);
        assert_eq!(relative_id(&[]), None);
        assert!(is_builtin(&[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0]));
    }
}
